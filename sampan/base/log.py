"""Logging: a constant message with key/values, one line an event, to stderr.

``log = logger("kubelet")`` then ``log.info("Pod started", pod="default/kubia", seconds=0.12)``. Values are never
secrets; callers pass names and numbers. Levels are the standard library's.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any


class Logger:
    """A named logger whose calls take key/values."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"sampan.{name}")

    def debug(self, message: str, **values: Any) -> None:
        self._log(logging.DEBUG, message, values)

    def info(self, message: str, **values: Any) -> None:
        self._log(logging.INFO, message, values)

    def warning(self, message: str, **values: Any) -> None:
        self._log(logging.WARNING, message, values)

    def error(self, message: str, **values: Any) -> None:
        self._log(logging.ERROR, message, values)

    def exception(self, message: str, **values: Any) -> None:
        """Log an error with the traceback of the exception being handled."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._logger.error(_render(message, values), exc_info=True)  # noqa: LOG014 - the caller's handler

    def _log(self, level: int, message: str, values: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, _render(message, values))


def logger(name: str) -> Logger:
    """Return the logger of a component or module, named ``sampan.<name>``."""
    return Logger(name)


def configure(*, level: str = "info") -> None:
    """Send all of sampan's log lines to stderr; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    root = logging.getLogger("sampan")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def _render(message: str, values: dict[str, Any]) -> str:
    if not values:
        return message
    return message + "".join(f" {key}={_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or any(c in ' "\n\t=' for c in text) else text


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{stamp}Z {record.levelname[0]} {record.name.removeprefix('sampan.')} {record.getMessage()}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"
