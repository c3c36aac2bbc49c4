"""The node's pod network: bridge, CNI configuration, masquerading, and the ways to other nodes' pods.

Driven by Node objects. When the node has its podCIDR, the bridge, its rules and the CNI configuration are made; every
other node's podCIDR is routed to that node directly when it is on the same L2, else through a VXLAN device whose MACs
follow from the nodes' addresses, so nodes need to tell each other nothing.

A second interface, the *dummy*, holds the cluster DNS address and load-balancer addresses and attracts the service
ranges, so that a host without a default route reaches services too. It is a bridge without ports: kernels without the
dummy driver have bridges, pods need them.

No route leads to pod addresses from outside: nothing announces them, and what pods send out of the cluster is
masqueraded. Everything made here is removed by `cleanup`; a restart finds and keeps it, so pods never notice.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, start
from sampan.client.informer import InformerFactory
from sampan.client.resources import NODES
from sampan.proxy import cni, forwarding, leftovers, nft, sysctl
from sampan.proxy.family import IPV4, is_family
from sampan.proxy.netlink import Device, Netlink, NetlinkFailure, open_netlink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.client.interface import Stored
    from sampan.proxy.options import NetworkOptions

log = logger("podnetwork")

VXLAN_OVERHEAD = 50
"""Bytes of outer Ethernet, IPv4, UDP and VXLAN headers."""

_RETRY_SECONDS = 2.0


class Peer(NamedTuple):
    """Another node's pods and how they are reached: over a device on the same L2, or (tunnel) over VXLAN."""

    pod_cidr: str
    host: str
    tunnel: bool

    @property
    def gateway(self) -> str:
        """The other end of the tunnel: its podCIDR's network address, as flannel has it."""
        return self.pod_cidr.partition("/")[0]

    @property
    def mac(self) -> str:
        return tunnel_mac(self.host)


class PodNetwork:
    """The pod network of one node."""

    def __init__(
        self, options: NetworkOptions, client: Client, clock: Clock, *, informers: InformerFactory | None = None
    ) -> None:
        """informers: a running factory to share caches with; without one the network runs its own."""
        self._options = options
        self._clock = clock
        self._own_informers = None if informers else InformerFactory(client, clock=clock)
        factory = informers or self._own_informers
        assert factory is not None
        self._nodes = factory.informer(NODES)
        self._changed = asyncio.Event()
        self._dirty: set[str] = set()
        self._peers: dict[str, list[Peer]] = {}

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Keep the network until cancelled; started is called when pods can be started on this node.

        That needs the node's podCIDR, so the Node object must be registered meanwhile.
        """
        async with asyncio.TaskGroup() as group:
            if self._own_informers is not None:
                await start(group, self._own_informers.run, name="pod network informers")
            await self._nodes.wait_synced()
            self._nodes.add_handler(self._node_changed)
            try:
                async with open_netlink() as netlink:
                    await self._run(netlink, started)
            finally:
                self._nodes.remove_handler(self._node_changed)

    def _node_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._dirty.add(item.name)
        self._changed.set()

    async def _run(self, netlink: Netlink, started: Started) -> None:
        await self._retrying(lambda: _make_host_interface(netlink, self._options))
        own = await self._wait_pod_cidrs()
        await self._retrying(lambda: self._make_node(netlink, own))
        await self._drop_old_routes(netlink)
        await self._sync_peers(netlink)
        started(own)
        log.info("Pod network ready", podCIDRs=",".join(own), bridge=self._options.bridge)
        while True:
            await self._changed.wait()
            await self._sync_peers(netlink)

    async def _retrying(self, attempt: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await attempt()
            except (NetlinkFailure, nft.NftError, OSError) as error:
                log.warning("Pod network is not ready", error=error)
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                return

    async def _wait_pod_cidrs(self) -> tuple[str, ...]:
        while True:
            self._changed.clear()
            node = self._nodes.get("", self._options.node_name)
            cidrs = pod_cidrs(node.object) if node is not None else ()
            if cidrs:
                return cidrs
            await self._changed.wait()

    async def _make_node(self, netlink: Netlink, own: tuple[str, ...]) -> None:
        options = self._options
        uplink = await netlink.device_of(options.node_ip)
        mtu = options.mtu or (uplink.mtu if uplink is not None else 1500)
        tunnels = [peer for peers in (await self._wanted_peers(netlink)).values() for peer in peers if peer.tunnel]
        if tunnels and not options.mtu:
            mtu -= VXLAN_OVERHEAD
        filtered = await _bridge_filtering()
        bridge = await netlink.ensure_link(
            options.bridge,
            "bridge",
            mtu=mtu,
            # Without an address of its own a bridge takes the lowest of its ports', and pods lose their gateway.
            address=tunnel_mac(f"{options.bridge} {options.node_ip}"),
            **({"br_nf_call_iptables": 1, "br_nf_call_ip6tables": 1} if filtered else {}),
        )
        for cidr in own:
            network = ipaddress.ip_network(cidr)
            await netlink.add_address(bridge, str(network[1]), network.prefixlen)
        await nft.apply(pod_rules(options, same_bridge=() if filtered else own))
        await forwarding.allow(options)
        _allow_forwarding(options, own)
        cni.write(options, own, mtu)

    async def _wanted_peers(self, netlink: Netlink) -> dict[str, list[Peer]]:
        found = {}
        for item in self._nodes.list():
            found[item.name] = await self._peers_of(netlink, item.object)
        return found

    async def _peers_of(self, netlink: Netlink, node: Object) -> list[Peer]:
        if node["metadata"]["name"] == self._options.node_name:
            return []
        peers = []
        for cidr in pod_cidrs(node):
            host = _internal_ip(node, ipv6=not is_family(cidr, IPV4))
            if host:
                peers.append(Peer(cidr, host, await netlink.on_link_device(host) is None))
        return peers

    async def _sync_peers(self, netlink: Netlink) -> None:
        self._changed.clear()
        names, self._dirty = self._dirty, set()
        for name in names:
            item = self._nodes.get("", name)
            try:
                wanted = await self._peers_of(netlink, item.object) if item is not None else []
                current = self._peers.get(name, [])
                for peer in current:
                    if peer not in wanted:
                        await self._remove_peer(netlink, peer)
                for peer in wanted:
                    if peer not in current:
                        await self._add_peer(netlink, peer)
            except NetlinkFailure as error:
                log.warning("Node's pods are not reachable", node=name, error=error)
                self._dirty.add(name)
            else:
                self._peers[name] = wanted
                if not wanted:
                    del self._peers[name]
        if self._dirty:
            await self._clock.sleep(_RETRY_SECONDS)
            self._changed.set()

    async def _add_peer(self, netlink: Netlink, peer: Peer) -> None:
        if peer.tunnel:
            device = await self._tunnel(netlink)
            await netlink.set_tunnel_peer(device, peer.gateway, peer.mac, peer.host)
            await netlink.replace_route(peer.pod_cidr, device, gateway=peer.gateway)
            return
        found = await netlink.on_link_device(peer.host)
        if found is not None:
            # Replies to connections that this host opened to its own 127.0.0.1 come back over this interface.
            sysctl.try_write(f"ipv4/conf/{found.name}/route_localnet", "1")
            await netlink.replace_route(peer.pod_cidr, found, gateway=peer.host)

    async def _remove_peer(self, netlink: Netlink, peer: Peer) -> None:
        await netlink.delete_route(peer.pod_cidr)
        if peer.tunnel and (device := await netlink.find(self._options.vxlan)) is not None:
            await netlink.remove_tunnel_peer(device, peer.gateway, peer.mac, peer.host)

    async def _tunnel(self, netlink: Netlink) -> Device:
        """Make the VXLAN device; its address is this node's podCIDR's network address."""
        options = self._options
        uplink = await netlink.device_of(options.node_ip)
        device = await netlink.ensure_link(
            options.vxlan,
            "vxlan",
            vxlan_id=options.vxlan_id,
            vxlan_port=options.vxlan_port,
            vxlan_local=options.node_ip,
            vxlan_learning=False,
            address=tunnel_mac(options.node_ip),
            mtu=(uplink.mtu if uplink is not None else 1500) - VXLAN_OVERHEAD,
        )
        node = self._nodes.get("", options.node_name)
        for cidr in pod_cidrs(node.object) if node is not None else ():
            if is_family(cidr, IPV4):
                await netlink.add_address(device, cidr.partition("/")[0], 32)
        sysctl.try_write(f"ipv4/conf/{options.vxlan}/route_localnet", "1")
        return device

    async def _drop_old_routes(self, netlink: Netlink) -> None:
        """Routes of an earlier run to nodes that are no more."""
        wanted = {peer.pod_cidr for peers in (await self._wanted_peers(netlink)).values() for peer in peers}
        for family in self._options.families:
            for destination in await netlink.our_routes(self._options.cluster_cidr_of(family)):
                if destination not in wanted:
                    await netlink.delete_route(destination)


def pod_cidrs(node: Object) -> tuple[str, ...]:
    """The pod ranges of a node, one per family."""
    spec = node.get("spec") or {}
    return tuple(spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else []))


def tunnel_mac(host: str) -> str:
    """The MAC of a node's VXLAN device: a locally administered one that follows from the node's address."""
    digest = hashlib.sha256(host.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def pod_rules(options: NetworkOptions, *, same_bridge: tuple[str, ...] = ()) -> str:
    """Render the tables for traffic that leaves the cluster's range, replacing earlier ones.

    same_bridge: this node's ranges, when the kernel cannot see packets between ports of a bridge. A service's answer
    from a pod to another of the same node would then never be translated back; masquerading sends it by the host.
    """
    lines = []
    for family in options.families:
        ip, table, cidr = family.nft, leftovers.pods_table(options.table), options.cluster_cidr_of(family)
        loopback = "127.0.0.0/8" if family is IPV4 else "::1"
        multicast = "224.0.0.0/4" if family is IPV4 else "ff00::/8"
        own = family.first_of(same_bridge)
        answers = f"ct status dnat {ip} saddr {own} {ip} daddr {own} masquerade fully-random" if own else ""
        lines.append(f"""add table {ip} {table}
delete table {ip} {table}
table {ip} {table} {{
  chain spoofed-loopback {{
    type filter hook prerouting priority -300; policy accept;
    iifname != "lo" {ip} daddr {loopback} drop
  }}
  chain leaving-cluster {{
    type nat hook postrouting priority 100; policy accept;
    {ip} saddr {cidr} {ip} daddr != {{ {cidr}, {multicast} }} masquerade fully-random
    {answers}
  }}
}}
""")
    return "".join(lines)


async def _make_host_interface(netlink: Netlink, options: NetworkOptions) -> None:
    device = await netlink.ensure_link(options.dummy, "bridge")
    if options.dns_address:
        await netlink.add_address(device, options.dns_address, 32 if is_family(options.dns_address, IPV4) else 128)
    for family in options.families:
        for cidr in (options.service_cidr_of(family), options.load_balancer_cidr_of(family)):
            if cidr:
                await netlink.replace_route(cidr, device)


async def _bridge_filtering() -> bool:
    """Tell whether connection tracking sees packets between a bridge's ports; loads the module where that works."""
    if not sysctl.exists("bridge/bridge-nf-call-iptables"):
        try:
            process = await asyncio.create_subprocess_exec(
                "modprobe", "br_netfilter", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            await process.wait()
        except OSError:
            return False
    return sysctl.exists("bridge/bridge-nf-call-iptables")


def _allow_forwarding(options: NetworkOptions, own: tuple[str, ...]) -> None:
    if any(is_family(one, IPV4) for one in own):
        sysctl.write("ipv4/ip_forward", "1")
        sysctl.try_write(f"ipv4/conf/{options.bridge}/route_localnet", "1")
    if any(not is_family(one, IPV4) for one in own):
        sysctl.write("ipv6/conf/all/forwarding", "1")


def _internal_ip(node: Object, *, ipv6: bool) -> str:
    for one in (node.get("status") or {}).get("addresses") or ():
        if one.get("type") == "InternalIP" and (":" in one["address"]) == ipv6:
            address: str = one["address"]
            return address
    return ""


async def cleanup(options: NetworkOptions) -> None:
    """Remove what this node's network made; what is not there is no error. Pods lose their network."""
    await leftovers.remove_pod_network(options.table, (options.bridge, options.dummy, options.vxlan))
    (options.cni_conf_dir / cni.CONF_FILE).unlink(missing_ok=True)
