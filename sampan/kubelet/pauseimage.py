"""The sandbox image: a program that waits, as an OCI archive written by this module. See docs/adr/0030-pause-image.md.

The program is a static ELF file of a few dozen instructions, assembled by hand for x86-64 and AArch64, so that neither
a compiler nor a download is needed. As process 1 of a sandbox it ignores SIGCHLD, which makes the kernel reap orphans
(shareProcessNamespace), and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import tarfile
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_IMAGE = "localhost/sampan/pause:1"

_BASE = 0x400000
_HEADERS = 64 + 56
_TERM_INT = (1 << 14) | (1 << 1)
"""sigset_t with SIGTERM (15) and SIGINT (2)."""

# Data behind the code: struct kernel_sigaction {handler=SIG_IGN, flags, restorer, mask}, then the sigset.
_SIGACTION = struct.pack("<QQQQ", 1, 0, 0, 0)
_SIGSET = struct.pack("<Q", _TERM_INT)


class UnsupportedArchitectureError(SampanError):
    """There is no pause program for this machine."""


def _code_x86_64(data: int) -> bytes:
    """rt_sigaction(SIGCHLD, SIG_IGN); rt_sigprocmask(SIG_BLOCK, set); until rt_sigtimedwait(set) > 0; exit_group(0)."""
    action, mask = struct.pack("<I", data), struct.pack("<I", data + len(_SIGACTION))
    begin = (
        b"\xb8\x0d\x00\x00\x00\xbf\x11\x00\x00\x00\xbe" + action + b"\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05"
        b"\xb8\x0e\x00\x00\x00\x31\xff\xbe" + mask + b"\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05"
    )
    wait = b"\xb8\x80\x00\x00\x00\xbf" + mask + b"\x31\xf6\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05\x85\xc0"
    again = b"\x7e" + struct.pack("<b", -(len(wait) + 2))  # jle: interrupted, wait again
    return begin + wait + again + b"\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05"


def _code_aarch64(data: int) -> bytes:
    """The same; addresses are below 2**32, loaded as movz and movk."""

    def load(register: int, value: int) -> list[int]:
        low = 0xD2800000 | (value & 0xFFFF) << 5 | register
        high = 0xF2A00000 | (value >> 16 & 0xFFFF) << 5 | register
        return [low, high] if value >> 16 else [low]

    svc = 0xD4000001
    mask = data + len(_SIGACTION)
    begin = [*load(8, 134), *load(0, 17), *load(1, data), *load(2, 0), *load(3, 8), svc]
    begin += [*load(8, 135), *load(0, 0), *load(1, mask), *load(2, 0), *load(3, 8), svc]
    wait = [*load(8, 137), *load(0, mask), *load(1, 0), *load(2, 0), *load(3, 8), svc, 0xF100001F]  # cmp x0, #0
    again = 0x54000000 | ((-len(wait) & 0x7FFFF) << 5) | 0xD  # b.le
    end = [*load(8, 94), *load(0, 0), svc]
    return b"".join(struct.pack("<I", word) for word in [*begin, *wait, again, *end])


_MACHINES: dict[str, tuple[str, int, Callable[[int], bytes]]] = {
    "x86_64": ("amd64", 62, _code_x86_64),
    "aarch64": ("arm64", 183, _code_aarch64),
}


def pause_program(machine: str | None = None) -> bytes:
    """Build the ELF file for a machine as ``uname -m`` names it; None: this one.

    Raises UnsupportedArchitectureError.
    """
    _, number, assemble = _lookup(machine)
    # The data's address depends on the code's length, which does not depend on the address (all are above 16 bits).
    length = (len(assemble(_BASE)) + 7) // 8 * 8
    code = assemble(_BASE + _HEADERS + length).ljust(length, b"\0")
    body = code + _SIGACTION + _SIGSET
    size = _HEADERS + len(body)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + program + body


def pause_archive(machine: str | None = None) -> bytes:
    """Build an OCI image layout as a tar file, named `PAUSE_IMAGE`, for import into containerd."""
    architecture = _lookup(machine)[0]
    layer = _tar({"pause": (pause_program(machine), 0o755)})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "WorkingDir": "/", "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "sampan"}],
        "created": "1970-01-01T00:00:00Z",
    }
    config_bytes = _json(config)
    image = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config_bytes),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }
    image_bytes = _json(image)
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", image_bytes)
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    entry["annotations"] = {"io.containerd.image.name": PAUSE_IMAGE, "org.opencontainers.image.ref.name": "1"}
    index = {"schemaVersion": 2, "manifests": [entry]}
    blobs = {f"blobs/sha256/{_digest(b)[7:]}": (b, 0o644) for b in (layer, config_bytes, image_bytes)}
    layout = {"oci-layout": (b'{"imageLayoutVersion":"1.0.0"}', 0o644), "index.json": (_json(index), 0o644)}
    return _tar({**layout, **blobs})


def _lookup(machine: str | None) -> tuple[str, int, Callable[[int], bytes]]:
    name = machine or platform.machine()
    try:
        return _MACHINES[name]
    except KeyError:
        raise UnsupportedArchitectureError(f"no pause program for {name}; name a sandbox image of your own") from None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """Write a tar file that is the same on every machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
