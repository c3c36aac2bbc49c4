from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.api.gvk import GroupResource
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import (
    CompactedError,
    ContinueExpiredError,
    ContinueTokenError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    RevisionConflictError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from sampan.api.errors import APIStatusError

PODS = GroupResource("", "pods")


def shown(error: APIStatusError) -> tuple[int, str, str]:
    return error.code, error.reason, error.message


def test_an_outdated_update_tells_to_try_the_latest_version():
    error = translate.update(PODS, "x", RevisionConflictError("k", 1, 2))
    message = (
        'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the '
        "latest version and try again"
    )
    assert shown(error) == (409, "Conflict", message)


@pytest.mark.parametrize("verb", [translate.get, translate.update, translate.delete])
def test_a_missing_key_is_not_found(verb):
    assert shown(verb(PODS, "x", KeyNotFoundError("k"))) == (404, "NotFound", 'pods "x" not found')


def test_a_taken_key_already_exists():
    assert shown(translate.create(PODS, "x", KeyExistsError("k"))) == (
        409,
        "AlreadyExists",
        'pods "x" already exists',
    )


def test_a_future_revision_times_out_and_may_be_tried_again():
    error = translate.get(PODS, "x", FutureRevisionError(999, 5))
    assert shown(error) == (504, "Timeout", "Timeout: Too large resource version: 999, current: 5")
    assert error.to_status()["details"] == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }


def test_a_watch_from_too_long_ago_names_both_revisions():
    assert shown(translate.watch(CompactedError(1, 5))) == (410, "Expired", "too old resource version: 1 (5)")


def test_an_expired_continue_token_comes_with_an_inconsistent_one():
    error = translate.list_(PODS, ContinueExpiredError(1, 5, "token"))
    assert error.reason == "Expired"
    assert error.message.startswith("The provided continue parameter is too old to display a consistent list result.")
    assert error.to_status()["metadata"] == {"continue": "token"}


def test_an_expired_list_revision_is_too_old():
    error = translate.list_(PODS, CompactedError(1, 5))
    assert shown(error) == (410, "Expired", "The resourceVersion for the provided list is too old.")


def test_a_malformed_token_is_a_bad_request():
    error = translate.list_(PODS, ContinueTokenError("continue key is not valid: x"))
    assert shown(error) == (400, "BadRequest", "invalid continue token: continue key is not valid: x")


def test_a_store_that_cannot_serve_says_what_to_do():
    error = translate.create(PODS, "x", StoreUnavailableError("the disk is full: free some space"))
    assert shown(error) == (500, "InternalError", "Internal error occurred: the disk is full: free some space")
