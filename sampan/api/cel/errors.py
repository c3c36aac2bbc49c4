"""Errors of CEL: of expressions, and of their runs."""

from __future__ import annotations

from sampan.base.errors import SampanError


class CompileError(SampanError):
    """The expression is not well formed or well typed; the text is cel-go's, with the place shown."""

    def __init__(self, problems: list[tuple[int, str]], source: str) -> None:
        self.problems = problems
        super().__init__("\n".join(_shown(offset, text, source) for offset, text in sorted(problems)))


class CelError(SampanError):
    """A run failed: no such key, division by zero, overflow."""


class CostExceededError(CelError):
    """A run cost more than it may."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


def _shown(offset: int, text: str, source: str) -> str:
    before = source[:offset]
    line = before.count("\n") + 1
    start = before.rfind("\n") + 1
    column = offset - start
    end = source.find("\n", start)
    shown = source[start : len(source) if end < 0 else end]
    return f"ERROR: <input>:{line}:{column + 1}: {text}\n | {shown}\n | {'.' * column}^"
