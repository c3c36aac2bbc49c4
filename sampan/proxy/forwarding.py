"""Let pods' packets through a host firewall that forwards nothing by default.

Docker, ufw and firewalld set the policy of iptables' FORWARD chain (in nftables: table ``filter``) to drop; accepting
elsewhere does not overrule it. So two rules for the pod bridge go to the head of that chain, marked with a comment by
which they are found again. Where there is no such chain, or it accepts, nothing is touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.proxy import nft
from sampan.proxy.family import IPV4, IPV6

if TYPE_CHECKING:
    from sampan.proxy.family import Family
    from sampan.proxy.options import NetworkOptions

log = logger("proxy.forwarding")

_CHAIN = "filter FORWARD"
_HANDLE = re.compile(r"# handle (\d+)$", re.MULTILINE)


async def allow(options: NetworkOptions) -> None:
    """Add the rules where they are needed and not there yet."""
    for family in options.families:
        listing = await _listing(family)
        if "policy drop" not in listing or _mark(options.table) in listing:
            continue
        verdict = f'"{options.bridge}" accept comment "{_mark(options.table)}"'
        lines = [f"insert rule {family.nft} {_CHAIN} {direction} {verdict}\n" for direction in ("iifname", "oifname")]
        await nft.apply("".join(lines))
        log.info("Host firewall lets pods through", table=f"{family.nft} filter", bridge=options.bridge)


async def disallow(table: str) -> None:
    """Take the rules away. table: the nftables tables' common name."""
    for family in (IPV4, IPV6):
        rules = [line for line in (await _listing(family)).splitlines() if _mark(table) in line]
        handles = [match[1] for line in rules if (match := _HANDLE.search(line))]
        if handles:
            await nft.apply("".join(f"delete rule {family.nft} {_CHAIN} handle {one}\n" for one in handles))


async def _listing(family: Family) -> str:
    try:
        return await nft.read("-a", "list", "chain", family.nft, *_CHAIN.split())
    except nft.NftError:
        return ""


def _mark(table: str) -> str:
    return f"pods of {table}"
