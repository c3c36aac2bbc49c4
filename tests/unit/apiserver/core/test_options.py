"""Query options."""

import pytest

from sampan.api.errors import BadRequest, Invalid
from sampan.apiserver import options
from sampan.apiserver.requestinfo import parse_query


def test_watch_from_nowhere_begins_with_the_current_state():
    found = options.list_options(parse_query("watch=1"), watch=True)
    assert found.send_initial_events is True
    assert found.resource_version_match == "NotOlderThan"


def test_watch_from_a_version_does_not():
    assert options.list_options(parse_query("resourceVersion=5"), watch=True).send_initial_events is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("resourceVersionMatch=Exact", "forbidden unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 'resourceVersionMatch "exact" is forbidden'),
        ("resourceVersionMatch=Foo&resourceVersion=1", "Unsupported value"),
        ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
    ],
)
def test_contradicting_list_options_are_invalid(query, message):
    with pytest.raises(Invalid, match=message):
        options.list_options(parse_query(query), watch=False)


def test_numbers_are_checked_as_go_does():
    with pytest.raises(BadRequest, match=r'strconv\.ParseInt: parsing "abc": invalid syntax'):
        options.list_options(parse_query("timeoutSeconds=abc"), watch=False)


def test_dry_run_has_one_directive():
    assert options.write_options(parse_query("dryRun=All&dryRun=All"), "CreateOptions").dry_run
    with pytest.raises(Invalid, match=r'dryRun: Unsupported value: \["None"\]: supported values: "All"'):
        options.write_options(parse_query("dryRun=None"), "CreateOptions")


def test_apply_needs_a_manager_and_other_patches_no_force():
    with pytest.raises(Invalid, match="fieldManager: Required value: is required for apply patch"):
        options.write_options((), "PatchOptions", apply=True)
    with pytest.raises(Invalid, match="may not be specified for non-apply patch"):
        options.write_options(parse_query("force=true"), "PatchOptions")
