from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.api.errors import APIStatusError
from tests.unit.apiserver.registry.desk import Desk, gvr

if TYPE_CHECKING:
    from sampan.api.object import Object

SERVICES = gvr("v1", "services")


def service(name: str = "s", **spec: object) -> Object:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def made(desk: Desk, name: str = "s", **spec: object) -> Object:
    obj, errors = desk.create(SERVICES, service(name, **spec))
    assert errors == []
    return obj


def test_a_service_gets_an_address_of_the_range() -> None:
    spec = made(Desk())["spec"]
    assert spec["clusterIP"].startswith("10.96.0.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


def test_addresses_are_given_once() -> None:
    desk = Desk()
    found = {made(desk, f"s{number}")["spec"]["clusterIP"] for number in range(40)}
    assert len(found) == 40


def test_a_taken_address_is_refused() -> None:
    desk = Desk()
    taken = made(desk, clusterIP="10.96.0.77")["spec"]["clusterIP"]
    with pytest.raises(APIStatusError, match="provided IP is already allocated"):
        desk.create(SERVICES, service("other", clusterIP=taken))


def test_a_deleted_service_gives_its_address_and_ports_back() -> None:
    desk = Desk()
    obj = made(desk, clusterIP="10.96.0.77", type="NodePort", ports=[{"port": 80, "nodePort": 30005}])
    desk.strategy(SERVICES).after_delete(desk.context(), obj)
    again = made(desk, "again", clusterIP="10.96.0.77", type="NodePort", ports=[{"port": 80, "nodePort": 30005}])
    assert again["spec"]["ports"][0]["nodePort"] == 30005


def test_a_dry_run_keeps_nothing() -> None:
    desk = Desk()
    desk.create(SERVICES, service(clusterIP="10.96.0.77"), dry_run=True)
    made(desk, clusterIP="10.96.0.77")


def test_a_failed_create_keeps_nothing() -> None:
    desk = Desk()
    _, errors = desk.create(SERVICES, service(clusterIP="10.96.0.77", ports=[{"port": 0}]))
    assert errors != []
    made(desk, clusterIP="10.96.0.77")


def test_a_headless_service_has_no_address() -> None:
    spec = made(Desk(), clusterIP="None", selector={"a": "b"})["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])


def test_node_ports_run_out() -> None:
    desk = Desk()
    for number in range(10):
        made(desk, f"s{number}", type="NodePort")
    with pytest.raises(APIStatusError):
        desk.create(SERVICES, service("last", type="NodePort"))


def test_becoming_external_gives_the_address_up() -> None:
    desk = Desk()
    old = made(desk, clusterIP="10.96.0.77")
    change = {"spec/type": "ExternalName", "spec/externalName": "example.com", "spec/clusterIP": None}
    new, errors = desk.update(SERVICES, old, {**change, "spec/clusterIPs": None})
    assert errors == []
    assert "clusterIP" not in new["spec"]
    made(desk, "other", clusterIP="10.96.0.77")


def test_the_address_cannot_be_changed() -> None:
    desk = Desk()
    old = made(desk)
    change = {"spec/clusterIP": "10.96.0.200", "spec/clusterIPs": ["10.96.0.200"]}
    _, errors = desk.update(SERVICES, old, change)
    assert any("spec.clusterIPs[0]" in error and "may not change once set" in error for error in errors)


def test_allocations_survive_a_restart() -> None:
    first = Desk()
    obj = made(first, clusterIP="10.96.0.77")
    second = Desk()
    second.objects["", "services", "ns", "s"] = obj
    with pytest.raises(APIStatusError, match="already allocated"):
        second.create(SERVICES, service("other", clusterIP="10.96.0.77"))
