"""Which node serves a load-balancer address."""

from __future__ import annotations

from collections import Counter

from sampan.proxy.announce import pick_node

NODES = ["a", "b", "c"]
ADDRESSES = [f"172.30.0.{number}" for number in range(1, 255)]


def test_addresses_are_shared_out():
    shares = Counter(pick_node(one, NODES) for one in ADDRESSES)
    assert set(shares) == set(NODES)
    assert min(shares.values()) > 50


def test_loss_of_a_node_moves_only_its_own_addresses():
    for one in ADDRESSES:
        before = pick_node(one, NODES)
        if before != "b":
            assert pick_node(one, ["a", "c"]) == before


def test_order_of_nodes_does_not_matter_and_none_is_no_error():
    assert pick_node("172.30.0.1", NODES) == pick_node("172.30.0.1", NODES[::-1])
    assert pick_node("172.30.0.1", []) == ""
