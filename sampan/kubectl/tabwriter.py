"""Go's text/tabwriter: cells end with a tab; a column is a run of consecutive lines that have a cell there.

So a line without a cell ends the column, and the next lines are aligned on their own. The text behind a line's last tab
is not part of a column.
"""

from __future__ import annotations


def align(text: str, *, minimum: int = 0, padding: int = 2) -> str:
    """Align text whose cells end with tabs; lines end with line feeds, a form feed ends every column."""
    return "".join(_section(part, minimum, padding) for part in text.split("\f"))


def _section(text: str, minimum: int, padding: int) -> str:
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[str] = [""] * len(lines)
    _format(lines, out, 0, len(lines), 0, (minimum, padding))
    return "\n".join(out)


def _format(lines: list[list[str]], out: list[str], start: int, stop: int, column: int, size: tuple[int, int]) -> None:  # noqa: PLR0917
    index = start
    while index < stop:
        if len(lines[index]) - 1 <= column:
            out[index] += lines[index][column]
            index += 1
            continue
        end = index
        while end < stop and len(lines[end]) - 1 > column:
            end += 1
        width = max(size[0], max(len(line[column]) for line in lines[index:end]) + size[1])
        for one in range(index, end):
            out[one] += lines[one][column].ljust(width)
        _format(lines, out, index, end, column + 1, size)
        index = end
