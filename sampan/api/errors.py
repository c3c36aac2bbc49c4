"""The error tree: one root, one class per `metav1.Status` reason, the same classes on both sides of the wire.

The server raises them and serialises them with `APIStatusError.to_status`; the client rebuilds them from the body
with `from_status`. Match on the class or ``reason``, never on the HTTP code: AlreadyExists and Conflict are both 409,
Gone and Expired both 410. Messages are Kubernetes' own (apimachinery, package api/errors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.field import FieldError
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object


class APIStatusError(SampanError):
    """An error that has a `metav1.Status`.

    code: HTTP status. reason: `metav1.StatusReason`, "" when unknown. details: `metav1.StatusDetails`, or None.
    retry_after_seconds: also sent as the Retry-After header when not None.
    """

    reason: ClassVar[str] = ""
    default_code: ClassVar[int] = 500

    def __init__(
        self, message: str, *, details: Object | None = None, code: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.details = details
        self.retry_after_seconds = retry_after
        if retry_after is not None:
            self.details = {**(details or {}), "retryAfterSeconds": retry_after}

    def to_status(self) -> Object:
        """Build the `metav1.Status` body."""
        status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(APIStatusError):
    """400: the request itself is wrong."""

    reason = "BadRequest"
    default_code = 400


class Unauthorized(APIStatusError):
    """401: no or wrong credentials."""

    reason = "Unauthorized"
    default_code = 401


class Forbidden(APIStatusError):
    """403: not allowed, by authorization or admission."""

    reason = "Forbidden"
    default_code = 403


class NotFound(APIStatusError):
    """404: no such object, or no such resource."""

    reason = "NotFound"
    default_code = 404


class MethodNotAllowed(APIStatusError):
    """405: the resource does not take this verb."""

    reason = "MethodNotAllowed"
    default_code = 405


class NotAcceptable(APIStatusError):
    """406: no media type that the client accepts."""

    reason = "NotAcceptable"
    default_code = 406


class AlreadyExists(APIStatusError):
    """409: the name is taken."""

    reason = "AlreadyExists"
    default_code = 409


class Conflict(APIStatusError):
    """409: the object changed since it was read, or a precondition or field owner disagrees."""

    reason = "Conflict"
    default_code = 409


class Gone(APIStatusError):
    """410: no longer there."""

    reason = "Gone"
    default_code = 410


class Expired(APIStatusError):
    """410: the resourceVersion or continue token is too old."""

    reason = "Expired"
    default_code = 410


class RequestEntityTooLarge(APIStatusError):
    """413: the body is over the limit."""

    reason = "RequestEntityTooLarge"
    default_code = 413


class UnsupportedMediaType(APIStatusError):
    """415: no decoder for the body's media type."""

    reason = "UnsupportedMediaType"
    default_code = 415


class Invalid(APIStatusError):
    """422: the object breaks validation rules; one cause per broken rule."""

    reason = "Invalid"
    default_code = 422


class TooManyRequests(APIStatusError):
    """429: try again later; also an eviction that a disruption budget forbids."""

    reason = "TooManyRequests"
    default_code = 429


class InternalError(APIStatusError):
    """500: a fault of the server."""

    reason = "InternalError"
    default_code = 500


class ServerTimeout(APIStatusError):
    """500: the operation did not end in time; safe to retry."""

    reason = "ServerTimeout"
    default_code = 500


class ServiceUnavailable(APIStatusError):
    """503: the server cannot serve this now."""

    reason = "ServiceUnavailable"
    default_code = 503


class Timeout(APIStatusError):
    """504: the request did not end in time; its outcome is unknown."""

    reason = "Timeout"
    default_code = 504


_BY_REASON: dict[str, type[APIStatusError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict, Gone,
        Expired, RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServerTimeout,
        ServiceUnavailable, Timeout,
    )
}  # fmt: skip


def from_status(status: Object) -> APIStatusError:
    """Rebuild the error from a `metav1.Status` body."""
    details = status.get("details")
    cls = _BY_REASON.get(status.get("reason", ""), APIStatusError)
    error = cls(status.get("message", ""), details=details, code=status.get("code", cls.default_code))
    if details and "retryAfterSeconds" in details:
        error.retry_after_seconds = details["retryAfterSeconds"]
    return error


def _details(resource: GroupResource, name: str, **more: Any) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    if resource.resource:
        details["kind"] = resource.resource
    return {**details, **more}


def not_found(resource: GroupResource, name: str) -> NotFound:
    """Build ``pods "x" not found``."""
    return NotFound(f'{resource} "{name}" not found', details=_details(resource, name))


def already_exists(resource: GroupResource, name: str) -> AlreadyExists:
    """Build ``pods "x" already exists``."""
    return AlreadyExists(f'{resource} "{name}" already exists', details=_details(resource, name))


def conflict(resource: GroupResource, name: str, why: str) -> Conflict:
    """Build ``Operation cannot be fulfilled on pods "x": why``."""
    return Conflict(f'Operation cannot be fulfilled on {resource} "{name}": {why}', details=_details(resource, name))


def forbidden(resource: GroupResource, name: str, why: str) -> Forbidden:
    """Build ``pods "x" is forbidden: why``; without a name ``pods is forbidden: why``."""
    if not resource.resource:
        message = f"forbidden: {why}"
    elif name:
        message = f'{resource} "{name}" is forbidden: {why}'
    else:
        message = f"{resource} is forbidden: {why}"
    return Forbidden(message, details=_details(resource, name))


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """Build ``Pod "x" is invalid: [...]`` with one cause per field error; details.kind is the kind."""
    rendered = [str(error) for error in errors]
    unique = list(dict.fromkeys(rendered))
    listed = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    details: Object = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [error.cause() for error in errors]
    qualified = f"{kind}.{group}" if group else kind
    return Invalid(f'{qualified} "{name}" is invalid: {listed}', details=details)


def method_not_supported(resource: GroupResource, verb: str) -> MethodNotAllowed:
    """Build ``patch is not supported on resources of kind "bindings"``."""
    message = f'{verb} is not supported on resources of kind "{resource}"'
    return MethodNotAllowed(message, details=_details(resource, ""))


def expired(message: str) -> Expired:
    """Build a 410 with reason Expired."""
    return Expired(message)


def internal(error: object) -> InternalError:
    """Build ``Internal error occurred: ...``."""
    message = f"Internal error occurred: {error}"
    return InternalError(message, details={"causes": [{"message": str(error)}]})


def too_many_requests(message: str, retry_after: int) -> TooManyRequests:
    """Build a 429 that also sets Retry-After (seconds)."""
    return TooManyRequests(message, retry_after=retry_after)
