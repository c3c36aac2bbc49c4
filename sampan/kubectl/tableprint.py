"""Tables as kubectl prints them: columns padded to their widest cell, three blanks between.

The padding is text/tabwriter's with kubectl's settings (minimal width 6, padding 3); the last column is not padded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object

_MINIMUM = 6
_PADDING = 3


def render_rows(rows: Sequence[Sequence[str]], widths: list[int] | None = None) -> list[str]:
    """Pad rows of equal length into lines. widths: columns' widths so far; they grow, as in kubectl's watches."""
    if not rows:
        return []
    columns = max(len(row) for row in rows)
    widths = [] if widths is None else widths
    widths += [_MINIMUM] * (columns - len(widths))
    for row in rows:
        for index, cell in enumerate(row[:-1]):
            widths[index] = max(widths[index], len(cell) + _PADDING)
    return ["".join(_padded(row, widths)) for row in rows]


def _padded(row: Sequence[str], widths: list[int]) -> Iterable[str]:
    last = len(row) - 1
    for index, cell in enumerate(row):
        yield cell if index == last else cell.ljust(widths[index])


class TablePrinter:
    """Prints `meta/v1` Tables; keeps the columns' header between calls, so that watches print it once."""

    def __init__(
        self,
        *,
        wide: bool = False,
        no_headers: bool = False,
        with_namespace: bool = False,
        with_kind: bool = False,
        show_kind: str = "",
        show_labels: bool = False,
        label_columns: Sequence[str] = (),
        with_event: bool = False,
    ) -> None:
        self._wide = wide
        self._no_headers = no_headers
        self._with_namespace = with_namespace
        self._kind = show_kind if with_kind else ""
        self._show_labels = show_labels
        self._label_columns = label_columns
        self._header_done = False
        self._with_event = with_event
        self._widths: list[int] = []
        self._columns: list[Object] = []

    def lines(self, table: Object, event: str = "") -> list[str]:
        """Render a table. event: what happened to its rows. Of a watch's tables only the first has columns."""
        self._columns = columns = table.get("columnDefinitions") or self._columns
        shown = [index for index, column in enumerate(columns) if self._wide or not column.get("priority")]
        rows: list[list[str]] = []
        if not self._no_headers and not self._header_done:
            rows.append(self._header([columns[index] for index in shown]))
            self._header_done = True
        rows += [[event] * self._with_event + self._row(row, columns, shown) for row in table.get("rows") or []]
        return render_rows(rows, self._widths)

    def _header(self, columns: list[Object]) -> list[str]:
        names = ["EVENT"] if self._with_event else []
        names += ["NAMESPACE"] if self._with_namespace else []
        names += [column["name"].upper() for column in columns]
        names += [label.rpartition("/")[2].upper() for label in self._label_columns]
        if self._show_labels:
            names.append("LABELS")
        return names

    def _row(self, row: Object, columns: list[Object], shown: list[int]) -> list[str]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        cells = [metadata.get("namespace", "")] if self._with_namespace else []
        for index in shown:
            text = cell_text(row["cells"][index] if index < len(row["cells"]) else None)
            if self._kind and columns[index].get("format") == "name":
                text = f"{self._kind}/{text}"
            cells.append(text)
        labels = metadata.get("labels") or {}
        cells += [labels.get(label, "") for label in self._label_columns]
        if self._show_labels:
            cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>")
        return cells


def cell_text(cell: object) -> str:
    """Spell one cell; line breaks and tabs would break the table, so they are escaped, and long cells stay whole."""
    if cell is None:
        return "<nil>"
    if isinstance(cell, bool):
        return "true" if cell else "false"
    text = str(cell)
    if "\n" in text or "\r" in text:
        first, _, _ = text.replace("\r", "\n").partition("\n")
        return f"{first}..."
    return text
