"""A node, its pods and another machine, as network namespaces that one process enters in turn.

A socket stays in the namespace in which it was made, so servers and clients of all namespaces run in the test's own
event loop. The event loop's thread is in the node's namespace between calls: that is where nft and netlink work.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

from pyroute2 import netns


def sh(command: str) -> None:
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)


def remove_abandoned() -> None:
    """Delete the namespaces of test runs that were killed."""
    for name in netns.listnetns():
        match = re.fullmatch(r"h(\d+)(node|machine|pod\d+)", name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with suppress(subprocess.CalledProcessError):
                sh(f"ip netns del {name}")


class Lab:
    """Namespaces of one test; names carry the process id. The node's uplink is 192.0.2.1, the other machine .2."""

    def __init__(self) -> None:
        remove_abandoned()
        self.prefix = f"h{os.getpid()}"
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._namespaces: list[str] = []
        self.node = self._add("node")
        self.machine = self._add("machine")
        self._servers: list[asyncio.AbstractServer] = []
        self._transports: list[asyncio.DatagramTransport] = []
        sh(f"ip link add up0 netns {self.node} type veth peer name up0 netns {self.machine}")
        for name, address in ((self.node, "192.0.2.1"), (self.machine, "192.0.2.2")):
            sh(f"ip -n {name} link set lo up; ip -n {name} link set up0 up; ip -n {name} addr add {address}/24 dev up0")
        netns.setns(self.node)

    def _add(self, name: str) -> str:
        full = f"{self.prefix}{name}"
        sh(f"ip netns add {full}")
        self._namespaces.append(full)
        return full

    async def stop(self) -> None:
        """Close the servers, in the event loop that serves them."""
        for server in self._servers:
            server.close()
        for transport in self._transports:
            transport.close()
        for _ in range(3):
            await asyncio.sleep(0)

    def close(self) -> None:
        netns.setns(self._home)
        os.close(self._home)
        for name in reversed(self._namespaces):
            with suppress(subprocess.CalledProcessError):
                sh(f"ip netns del {name}")

    @contextmanager
    def inside(self, name: str):
        netns.setns(name)
        try:
            yield
        finally:
            netns.setns(self.node)

    def add_pod(self, address: str, bridge: str, gateway: str) -> str:
        """Make a pod's namespace with a veth on the node's bridge."""
        number = len(self._namespaces)
        name = self._add(f"pod{number}")
        sh(f"ip link add veth{number} netns {self.node} type veth peer name eth0 netns {name}")
        sh(f"ip -n {self.node} link set veth{number} master {bridge} up")
        sh(f"bridge -n {self.node} link set dev veth{number} hairpin on")
        sh(f"ip -n {name} link set lo up; ip -n {name} link set eth0 up; ip -n {name} addr add {address}/24 dev eth0")
        sh(f"ip -n {name} route add default via {gateway}")
        return name

    async def serve_tcp(self, namespace: str, port: int, answer: str, *, host: str = "") -> None:
        """Answer every connection with a text and the client's address."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{answer} {writer.get_extra_info('peername')[0]}".encode())
            writer.close()

        with self.inside(namespace):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server(
                (host, port), family=family, backlog=512, dualstack_ipv6=family == socket.AF_INET6
            )
        self._servers.append(await asyncio.start_server(handle, sock=listener))

    async def serve_udp(self, namespace: str, port: int, answer: str) -> None:
        """Answer every datagram with a text."""

        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport) -> None:
                self.transport = transport

            def datagram_received(self, _data: bytes, address) -> None:
                self.transport.sendto(answer.encode(), address)

        with self.inside(namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("", port))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=sock)
        self._transports.append(transport)

    async def get(self, namespace: str, address: str, port: int, *, source: str = "", seconds: float = 3) -> str:
        """Connect and return what the server says. Raises OSError, TimeoutError."""
        with self.inside(namespace):
            client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with client:
            client.setblocking(False)
            if source:
                client.bind((source, 0))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(seconds):
                await loop.sock_connect(client, (address, port))
                return (await loop.sock_recv(client, 1000)).decode()

    def udp_client(self, namespace: str) -> socket.socket:
        with self.inside(namespace):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        return client

    @staticmethod
    async def ask(client: socket.socket, address: str, port: int, *, seconds: float = 2) -> str:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            await loop.sock_sendto(client, b"?", (address, port))
            return (await loop.sock_recv(client, 1000)).decode()
