"""HTTP/1.1 on httptools: the protocol, responses, watch streams, upgrades."""
