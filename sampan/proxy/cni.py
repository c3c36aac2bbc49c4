"""The CNI configuration of a node: the bridge plugin with host-local addresses.

Masquerading and host ports are not left to plugins: `ipMasq` and `portmap` write iptables chains that nobody removes,
and need an iptables on the host. Ours are in the node's own nftables tables (`podnetwork`, `hostport`). The loopback
interface is brought up by containerd itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.proxy.options import NetworkOptions

CONF_FILE = "10-sampan.conflist"
_CNI_VERSION = "1.0.0"


def conflist(options: NetworkOptions, pod_cidrs: tuple[str, ...], mtu: int) -> Object:
    """Build the network configuration list (CNI specification 1.0.0). pod_cidrs: the node's own, one per family."""
    defaults = [{"dst": "::/0" if ":" in one else "0.0.0.0/0"} for one in pod_cidrs]
    bridge: Object = {
        "type": "bridge",
        "bridge": options.bridge,
        "isGateway": True,
        "hairpinMode": True,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": str(options.cni_conf_dir / "networks"),
            "ranges": [[{"subnet": one}] for one in pod_cidrs],
            "routes": defaults,
        },
    }
    return {"cniVersion": _CNI_VERSION, "name": options.table, "plugins": [bridge]}


def write(options: NetworkOptions, pod_cidrs: tuple[str, ...], mtu: int) -> Path:
    """Write the configuration atomically where containerd looks for it; unchanged content is left alone."""
    content = orjson.dumps(conflist(options, pod_cidrs, mtu), option=orjson.OPT_INDENT_2) + b"\n"
    path = options.cni_conf_dir / CONF_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        fresh = path.with_name(f".{CONF_FILE}.new")
        fresh.write_bytes(content)
        os.replace(fresh, path)  # noqa: PTH105 - the atomic call, named
    return path
