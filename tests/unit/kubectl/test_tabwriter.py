"""Alignment is that of Go's text/tabwriter."""

from __future__ import annotations

from sampan.kubectl.tableprint import TablePrinter, render_rows
from sampan.kubectl.tabwriter import align


def test_columns_are_runs_of_lines_that_have_them():
    text = "Name:\tx\nLabels:\ta=b\n\tc=d\nno cell\nA long title:\ty\n"
    assert align(text) == "Name:    x\nLabels:  a=b\n         c=d\nno cell\nA long title:  y\n"


def test_form_feed_ends_all_columns():
    assert align("a:\tb\n\flonger:\tc\n") == "a:  b\nlonger:  c\n"


def test_last_cell_is_not_padded_and_columns_have_a_minimal_width():
    assert render_rows([["NAME", "AGE"], ["a-long-name", "5s"], ["b", "1d"]]) == [
        "NAME          AGE",
        "a-long-name   5s",
        "b             1d",
    ]
    assert render_rows([["A", "B"]]) == ["A     B"]


def test_watch_keeps_widths_and_prints_the_header_once():
    columns = [{"name": "Name", "format": "name"}, {"name": "Age"}]
    printer = TablePrinter()
    first = printer.lines({"columnDefinitions": columns, "rows": [{"cells": ["long-long-name", "1s"]}]})
    second = printer.lines({"rows": [{"cells": ["x", "2s"]}]})
    assert first == ["NAME             AGE", "long-long-name   1s"]
    assert second == ["x                2s"]
