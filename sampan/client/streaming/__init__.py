"""Streams in one connection: SPDY/3.1, WebSocket channels, remote commands and port forwarding, for both sides."""
