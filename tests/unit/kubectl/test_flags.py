"""Flags parse as pflag's do."""

from __future__ import annotations

import pytest

from sampan.kubectl.errors import UsageError
from sampan.kubectl.flags import Flag, parse, parse_duration

FLAGS = [
    Flag(name="output", short="o"),
    Flag(name="all-namespaces", short="A", kind="bool"),
    Flag(name="watch", short="w", kind="bool"),
    Flag(name="tail", kind="int", default=-1),
    Flag(name="env", kind="array"),
    Flag(name="selector", short="l", kind="list"),
    Flag(name="dry-run", default="none", bare="unchanged"),
]


def run(*arguments):
    return parse(arguments, FLAGS, "kubectl get")


@pytest.mark.parametrize("line", [["-o", "yaml"], ["-oyaml"], ["-o=yaml"], ["--output=yaml"], ["--output", "yaml"]])
def test_every_spelling_of_a_value_is_taken(line):
    values, positional, _ = run("pods", *line, "x")
    assert values.output == "yaml"
    assert positional == ["pods", "x"]


def test_short_booleans_cluster_with_a_valued_one_last():
    values, _, _ = run("-Awoyaml")
    assert (values.all_namespaces, values.watch, values.output) == (True, True, "yaml")


def test_boolean_takes_no_separate_value():
    values, positional, _ = run("--watch", "false")
    assert values.watch is True
    assert positional == ["false"]
    assert run("--watch=false")[0].watch is False


def test_lists_split_at_commas_and_arrays_do_not():
    values, _, _ = run("-l", "a,b", "-l", "c", "--env", "a,b", "--env=c")
    assert values.selector == ["a", "b", "c"]
    assert values.env == ["a,b", "c"]


def test_optional_value_has_its_bare_form():
    assert run("--dry-run")[0].dry_run == "unchanged"
    assert run("--dry-run=server")[0].dry_run == "server"
    assert run()[0].dry_run == "none"


def test_everything_after_two_dashes_is_positional():
    _, positional, dash = run("pod", "--", "ls", "-l")
    assert positional == ["pod", "ls", "-l"]
    assert dash == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-z"], "unknown shorthand flag: 'z' in -z"),
        (["-o"], "flag needs an argument: 'o' in -o"),
        (["--output"], "flag needs an argument: --output"),
        (["--tail", "x"], 'invalid argument "x" for "--tail" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["-w=maybe"], 'invalid argument "maybe" for "-w, --watch" flag: strconv.ParseBool: parsing "maybe"'),
    ],
)
def test_wrong_flags_are_named(line, message):
    with pytest.raises(UsageError) as caught:
        run(*line)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("See 'kubectl get --help' for usage.")


@pytest.mark.parametrize(("text", "seconds"), [("1h30m", 5400), ("250ms", 0.25), ("0", 0), ("-5s", -5), ("1.5s", 1.5)])
def test_durations_are_goes(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"), [("5", "missing unit in duration"), ("x", "invalid duration"), ("", "inv")]
)
def test_wrong_durations_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_duration(text)
