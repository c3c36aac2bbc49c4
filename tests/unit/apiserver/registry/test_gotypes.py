from __future__ import annotations

from sampan.apiserver.registry.validation import gotypes


def test_the_unversioned_type_has_every_field_under_its_go_name() -> None:
    shown = gotypes.internal("apps.v1.DaemonSetUpdateStrategy", {"type": "X"})
    assert list(shown.items()) == [("Type", "X"), ("RollingUpdate", None)]


def test_a_difference_marks_what_is_gone_and_what_is_new() -> None:
    text = gotypes.difference("apps.v1.DaemonSetUpdateStrategy", {"type": "A"}, {"type": "B"})
    lines = [line.replace("\xa0", " ").split() for line in text.splitlines()]
    marks = [line[0] for line in lines if line and line[0] in "+-"]
    assert marks == ["-", "+"]
