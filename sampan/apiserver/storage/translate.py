"""Storage errors as API errors: the only such table, verb by verb.

Messages and reasons are kube-apiserver's (``storage/errors``, ``storage/etcd3/errors.go``, ``storage/cacher``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.apiserver.storage.interface import (
    CompactedError,
    ContinueExpiredError,
    ContinueTokenError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    RevisionConflictError,
)

if TYPE_CHECKING:
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.apiserver.storage.interface import StorageError

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
"""Why an update or deletion conflicts."""

_LIST_EXPIRED = "The resourceVersion for the provided list is too old."
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class ContinueExpired(errors.Expired):
    """410 behind a continue token; the Status' metadata holds a token that goes on with the newest state."""

    def __init__(self, token: str) -> None:
        super().__init__(_CONTINUE_EXPIRED)
        self.token = token

    def to_status(self) -> Object:
        return {**super().to_status(), "metadata": {"continue": self.token}}


def get(resource: GroupResource, name: str, error: StorageError) -> errors.APIStatusError:
    """A read of one object failed."""
    if isinstance(error, KeyNotFoundError):
        return errors.not_found(resource, name)
    return _common(error)


def list_(resource: GroupResource, error: StorageError) -> errors.APIStatusError:
    """A list failed."""
    if isinstance(error, ContinueExpiredError):
        return ContinueExpired(error.token)
    if isinstance(error, CompactedError):
        return errors.expired(_LIST_EXPIRED)
    if isinstance(error, ContinueTokenError):
        return errors.BadRequest(f"invalid continue token: {error}")
    return get(resource, "", error)


def watch(error: StorageError) -> errors.APIStatusError:
    """A watch could not begin, or cannot go on."""
    if isinstance(error, CompactedError):
        return errors.expired(f"too old resource version: {error.requested} ({error.revision})")
    return _common(error)


def create(resource: GroupResource, name: str, error: StorageError) -> errors.APIStatusError:
    """A creation failed."""
    if isinstance(error, KeyExistsError):
        return errors.already_exists(resource, name)
    return _common(error)


def update(resource: GroupResource, name: str, error: StorageError) -> errors.APIStatusError:
    """An update failed."""
    if isinstance(error, RevisionConflictError | KeyExistsError):
        return errors.conflict(resource, name, MODIFIED)
    return get(resource, name, error)


def delete(resource: GroupResource, name: str, error: StorageError) -> errors.APIStatusError:
    """A deletion failed."""
    return update(resource, name, error)


def _common(error: StorageError) -> errors.APIStatusError:
    if isinstance(error, FutureRevisionError):
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        return errors.Timeout(f"Timeout: {error}", details={"causes": [cause]}, retry_after=1)
    if isinstance(error, CompactedError):
        return errors.expired(_LIST_EXPIRED)
    # The store's text names the cure (disk full, file damaged), which a generic "try again" would hide.
    return errors.internal(error)
