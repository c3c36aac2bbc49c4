"""The cluster DNS server."""

from sampan.dns.options import DNSOptions
from sampan.dns.server import DNSServer

__all__ = ["DNSOptions", "DNSServer"]
