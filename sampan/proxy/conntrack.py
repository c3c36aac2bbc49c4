"""The kernel's connection tracking: forget UDP flows that lead to endpoints which are gone.

A UDP flow has no end, so a client that keeps its port would be sent to the dead endpoint for as long as it talks; and a
flow that began when a service had no endpoints would never be translated. TCP needs neither (kube-proxy does the same,
Kubernetes, pkg/proxy/conntrack).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
from pyroute2.netlink.nfnetlink.nfctsocket import (  # type: ignore[import-untyped]
    AsyncNFCTSocket,
    NFCTAttrTuple,
)

from sampan.base.log import logger
from sampan.proxy.endpoints import Target

if TYPE_CHECKING:
    from sampan.proxy.family import Family

log = logger("proxy.conntrack")


@dataclass(slots=True)
class Flows:
    """The UDP addresses that changed, and where their flows may lead.

    addresses: (service address, port) to targets. node_ports: port to targets.
    """

    addresses: dict[tuple[str, int], frozenset[Target]] = field(default_factory=dict)
    node_ports: dict[int, frozenset[Target]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.addresses or self.node_ports)

    def is_stale(self, destination: str, port: int, server: Target) -> bool:
        """Tell whether a flow to a service's address is answered by something that is not its target any more."""
        allowed = self.addresses.get((destination, port))
        if allowed is None:
            allowed = self.node_ports.get(port)
        return allowed is not None and server not in allowed


async def forget_stale(family: Family, flows: Flows) -> int:
    """Delete the UDP flows that lead where they no longer should. Tells how many; failures are logged, not raised."""
    try:
        async with AsyncNFCTSocket(nfgen_family=family.number) as conntrack:
            stale = await _stale_tuples(conntrack, family, flows)
            for one in stale:
                await _delete(conntrack, one)
    except (OSError, NetlinkError) as error:
        log.warning("Stale UDP flows stay", error=error)
        return 0
    return len(stale)


async def _stale_tuples(conntrack: Any, family: Family, flows: Flows) -> list[Any]:
    udp = NFCTAttrTuple(family=family.number, proto=socket.IPPROTO_UDP)
    stale = []
    async for message in await conntrack.dump(tuple_orig=udp):
        original = _tuple(family, message.get_attr("CTA_TUPLE_ORIG"))
        reply = _tuple(family, message.get_attr("CTA_TUPLE_REPLY"))
        if original is None or reply is None:
            continue
        if flows.is_stale(original.daddr, original.dport, Target(reply.saddr, reply.sport)):
            stale.append(original)
    return stale


def _tuple(family: Family, attribute: Any) -> Any:
    """Read one direction's tuple; None when it is not UDP (old kernels do not filter)."""
    addresses, protocol = attribute.get_attr("CTA_TUPLE_IP"), attribute.get_attr("CTA_TUPLE_PROTO")
    if protocol.get_attr("CTA_PROTO_NUM") != socket.IPPROTO_UDP:
        return None
    prefix = f"CTA_IP_V{family.version}"
    return NFCTAttrTuple(
        family=family.number,
        saddr=addresses.get_attr(f"{prefix}_SRC"),
        daddr=addresses.get_attr(f"{prefix}_DST"),
        proto=socket.IPPROTO_UDP,
        sport=protocol.get_attr("CTA_PROTO_SRC_PORT"),
        dport=protocol.get_attr("CTA_PROTO_DST_PORT"),
    )


async def _delete(conntrack: Any, original: Any) -> None:
    try:
        await conntrack.entry("del", tuple_orig=original)
    except NetlinkError as error:
        log.debug("UDP flow was gone already", error=error)
