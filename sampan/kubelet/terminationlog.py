"""The message with which a container ended: from its termination file, else from the end of its log.

Source: kubelet's kuberuntime_container.go (getTerminationMessage); limits of the container API reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.kubelet.records import ContainerRecord

_FILE_LIMIT = 4096
_LOG_BYTES = 2048
_LOG_LINES = 80


def termination_message(record: ContainerRecord, path: Path) -> str:
    """Read the message; "" when there is none. path: the file behind terminationMessagePath."""
    message = ""
    if record.termination_path:
        try:
            with path.open("rb") as file:
                message = file.read(_FILE_LIMIT).decode("utf-8", "replace")
        except OSError:
            message = ""
    if not message and record.termination_policy == "FallbackToLogsOnError" and record.exit_code != 0:
        message = _log_tail(Path(record.log_path))
    return message


def _log_tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 4 * _LOG_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return ""
    # CRI log lines: time, stream, tag, text. A line tagged P goes on in the next one, or the output ended in it.
    texts = [line.split(b" ", 3)[2:] for line in lines if line.count(b" ") >= 3]
    tail = b"".join(text if tag == b"P" else text + b"\n" for tag, text in texts[-_LOG_LINES:])
    return tail[-_LOG_BYTES:].decode("utf-8", "replace")
