"""The managed /etc/hosts and resolv.conf of a pod, and its host name.

Source: kubelet_pods.go (nodeHostsFileContent, managedHostsFileContent, GeneratePodHostNameAndDomain) and
network/dns/dns.go.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.api.object import name_of, namespace_of
from sampan.kubelet.runtime import DNSConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

_MAX_HOSTNAME = 63
_NDOTS = "ndots:5"
_MAX_SEARCHES = 32


def hostname_of(pod: Object, cluster_domain: str) -> tuple[str, str]:
    """Tell a pod's (host name, domain); the domain is "" without a subdomain."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return spec["hostnameOverride"], ""
    name = spec.get("hostname") or name_of(pod)[:_MAX_HOSTNAME].rstrip("-.")
    subdomain = spec.get("subdomain")
    return name, f"{subdomain}.{namespace_of(pod)}.svc.{cluster_domain}" if subdomain else ""


def hosts_content(pod: Object, ips: Sequence[str], cluster_domain: str) -> str:
    """Write /etc/hosts for a pod."""
    aliases = _aliases(pod["spec"].get("hostAliases") or ())
    if pod["spec"].get("hostNetwork"):
        own = Path("/etc/hosts").read_text() if Path("/etc/hosts").exists() else ""
        return "# Kubernetes-managed hosts file (host network).\n" + own + aliases
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name, domain = hostname_of(pod, cluster_domain)
    lines += [f"{ip}\t{name}.{domain}\t{name}" if domain else f"{ip}\t{name}" for ip in ips]
    return "\n".join(lines) + "\n" + aliases


def _aliases(entries: Sequence[Object]) -> str:
    if not entries:
        return ""
    text = "\n# Entries added by HostAliases.\n"
    for entry in entries:
        names = "\t".join(entry.get("hostnames") or ())
        text += f"{entry['ip']}\t{names}\n"
    return text


def dns_config(pod: Object, cluster_dns: Sequence[str], cluster_domain: str, resolv_conf: Path) -> DNSConfig:
    """Build resolv.conf by dnsPolicy and dnsConfig. resolv_conf: the node's own."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    cluster = cluster_dns and (
        policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    )
    if policy == "None":
        servers: list[str] = []
        searches: list[str] = []
        options: list[str] = []
    else:
        servers, searches, options = read_resolv_conf(resolv_conf)
    if cluster:
        servers = list(cluster_dns)
        own = [f"{namespace_of(pod)}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        searches = [*own, *searches]
        options = [_NDOTS]
    extra = spec.get("dnsConfig") or {}
    servers = _unique([*servers, *(extra.get("nameservers") or ())])
    searches = _unique([*searches, *(extra.get("searches") or ())])[:_MAX_SEARCHES]
    merged = dict(_option(text) for text in options)
    merged.update({o["name"]: o.get("value") for o in extra.get("options") or ()})
    return DNSConfig(
        servers=servers[:3],
        searches=searches,
        options=[name if value is None else f"{name}:{value}" for name, value in merged.items()],
    )


def _option(text: str) -> tuple[str, str | None]:
    name, colon, value = text.partition(":")
    return name, value if colon else None


def _unique(items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(items))


def read_resolv_conf(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Read (nameservers, searches, options). An absent file has none; unusable addresses are left out."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    try:
        text = path.read_text()
    except OSError:
        return servers, searches, options
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith(("#", ";")):
            continue
        if fields[0] == "nameserver" and _is_address(fields[1]):
            servers.append(fields[1])
        elif fields[0] in ("search", "domain"):
            searches = [name.rstrip(".") or "." for name in fields[1:]]
        elif fields[0] == "options":
            options = fields[1:]
    return servers, searches, options


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
