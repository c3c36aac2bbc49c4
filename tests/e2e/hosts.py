"""Test hosts: network namespaces that stand for machines, joined by a bridge that stands for the LAN.

Everything is made by the test and removed by it. Commands enter a host by its network namespace only: mounts stay the
host's, so that a second command sees what the first one mounted.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUBNET = "192.168.77"


def sh(*argv: str, timeout: float = 60) -> str:
    """Run a program that must succeed and return its output."""
    result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    assert result.returncode == 0, f"{' '.join(argv)}: {result.stdout}{result.stderr}"
    return result.stdout


@dataclass
class Host:
    """One machine of the test's LAN."""

    namespace: str
    address: str

    def command(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *argv]

    def run(
        self, *argv: str, check: bool = True, timeout: float = 120, env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a program on this host."""
        result = subprocess.run(
            self.command(*argv), capture_output=True, text=True, timeout=timeout, check=False, input=stdin,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        if check:
            assert result.returncode == 0, f"{' '.join(argv)}: {result.stdout}{result.stderr}"
        return result

    def popen(self, *argv: str, env: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen[str]:
        """Start a program on this host; the caller ends it."""
        return subprocess.Popen(self.command(*argv), text=True, env={**os.environ, **(env or {})}, **options)  # type: ignore[call-overload]


class Lan:
    """A bridge in a namespace of its own with hosts on it. Use as a context manager."""

    def __init__(self) -> None:
        self._tag = secrets.token_hex(3)
        self._switch = f"smpt-{self._tag}-lan"
        self._namespaces: list[str] = []
        self._next = 10

    def __enter__(self) -> Self:
        self._add_namespace(self._switch)
        self._inside(self._switch, "ip", "link", "add", "lan", "type", "bridge")
        self._inside(self._switch, "ip", "link", "set", "lan", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for namespace in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)

    def host(self, name: str) -> Host:
        """Add a host with an address on the LAN."""
        namespace = f"smpt-{self._tag}-{name}"
        self._add_namespace(namespace)
        address, port = f"{_SUBNET}.{self._next}", f"p{self._next}"
        self._next += 1
        sh("ip", "link", "add", port, "netns", self._switch, "type", "veth", "peer", "eth0", "netns", namespace)
        self._inside(self._switch, "ip", "link", "set", port, "master", "lan", "up")
        self._inside(namespace, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        self._inside(namespace, "ip", "link", "set", "eth0", "up")
        self._inside(namespace, "ip", "route", "add", "default", "via", f"{_SUBNET}.1")
        return Host(namespace, address)

    def _add_namespace(self, name: str) -> None:
        sh("ip", "netns", "add", name)
        self._namespaces.append(name)
        self._inside(name, "ip", "link", "set", "lo", "up")

    @staticmethod
    def _inside(namespace: str, *argv: str) -> None:
        sh("ip", "-n", namespace, *argv[1:]) if argv[0] == "ip" else sh(
            "nsenter", f"--net=/run/netns/{namespace}", *argv
        )


def leftovers(tag: str) -> list[str]:
    """Processes, mounts, cgroups and interfaces whose names or arguments hold the tag."""
    found = []
    ours = os.getpid()
    for line in sh("ps", "-eo", "pid,args").splitlines()[1:]:
        pid, _, arguments = line.strip().partition(" ")
        if tag in arguments and int(pid) != ours and "pytest" not in arguments:
            found.append(f"process {line.strip()}")
    with open("/proc/mounts") as mounts:
        found += [f"mount {line.split()[1]}" for line in mounts if tag in line]
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {folder}/{name}" for name in names if tag in name]
        if folder.count("/") > 5:
            names.clear()
    return found


def pick(values: Sequence[str], wanted: str) -> str:
    """The one value that holds the wanted text."""
    matching = [value for value in values if wanted in value]
    assert len(matching) == 1, f"{wanted!r} in {values}"
    return matching[0]
