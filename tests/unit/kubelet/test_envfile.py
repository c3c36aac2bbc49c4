"""Files of environment variables."""

from __future__ import annotations

import pytest

from sampan.kubelet.envfile import lookup

TEXT = """# comment

A='one' # why
  B='two
lines'
C= 'not its value'
D=''
"""


@pytest.mark.parametrize(
    ("key", "value"), [("A", "one"), ("B", "two\nlines"), ("C", ""), ("D", ""), ("E", None), ("lines'", None)]
)
def test_values_are_taken_literally(key, value):
    assert lookup(TEXT, key) == value


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("A", "line 2: missing '='"),
        ("A ='x'", "line 2: whitespace before '=' is not allowed"),
        ("='x'", "line 2: empty variable name"),
        ("A=x", "line 2: value must be enclosed in single quotes"),
        ("A='x", "starting at line 2: unclosed single quote"),
        ("A='x'y", "line 2: unexpected content after closing quote"),
    ],
)
def test_other_lines_are_refused(line, problem):
    with pytest.raises(ValueError, match="invalid environment variable format") as error:
        lookup(f"X='1'\n{line}\n", "A")
    assert problem in str(error.value)
