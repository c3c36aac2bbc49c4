"""The audit log file: one JSON event a line, rotated by size."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sampan.base.log import logger

if TYPE_CHECKING:
    from typing import BinaryIO

    from sampan.api.object import Object

log = logger("apiserver.audit")

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """``--audit-policy-file`` and ``--audit-log-*``.

    log_path: "-" for standard output. max_size: megabytes before the file is rotated. max_backups, max_age (days): of
    rotated files, 0 keeps all.
    """

    policy_file: Path
    log_path: str
    max_size: int = 100
    max_backups: int = 0
    max_age: int = 0


class AuditLog:
    """Writes events; a full disk costs events, not requests."""

    def __init__(self, options: AuditOptions) -> None:
        self._options = options
        self._path = None if options.log_path == "-" else Path(options.log_path)
        self._file: BinaryIO = sys.stdout.buffer if self._path is None else self._open(self._path)
        self._size = 0 if self._path is None else self._path.stat().st_size

    @staticmethod
    def _open(path: Path) -> BinaryIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return path.open("ab", buffering=0)

    def write(self, event: Object) -> None:
        """Append an event."""
        line = orjson.dumps(event) + b"\n"
        limit = self._options.max_size * _MEGABYTE
        try:
            if self._path is not None and self._size and self._size + len(line) > limit:
                self._rotate(self._path)
            self._file.write(line)
            if self._path is None:
                self._file.flush()
        except OSError as error:
            log.warning("Writing the audit log failed", error=str(error))
            return
        self._size += len(line)

    def _rotate(self, path: Path) -> None:
        self._file.close()
        now = datetime.now(UTC)
        path.rename(path.with_name(f"{path.stem}-{now:%Y-%m-%dT%H-%M-%S.%f}{path.suffix}"))
        self._file, self._size = self._open(path), 0
        backups = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"), reverse=True)
        oldest = (now - timedelta(days=self._options.max_age)).timestamp()
        for number, backup in enumerate(backups):
            many = self._options.max_backups and number >= self._options.max_backups
            if many or (self._options.max_age and backup.stat().st_mtime < oldest):
                backup.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            self._file.close()
