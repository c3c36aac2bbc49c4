"""Kernel switches under ``/proc/sys/net`` of the current network namespace."""

from __future__ import annotations

from pathlib import Path

from sampan.base.log import logger

log = logger("proxy.sysctl")

_ROOT = Path("/proc/sys/net")


def write(name: str, value: str) -> None:
    """Set a switch (``ipv4/ip_forward``) unless it has that value already. Raises OSError."""
    path = _ROOT / name
    if path.read_text().strip() != value:
        path.write_text(value)


def exists(name: str) -> bool:
    """Tell whether the kernel has a switch, and so what it belongs to."""
    return (_ROOT / name).exists()


def try_write(name: str, value: str) -> None:
    """Set a switch that something but not everything depends on: a failure is logged."""
    try:
        write(name, value)
    except OSError as error:
        log.warning("Kernel switch not set", switch=name, error=error)
