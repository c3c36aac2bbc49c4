"""AdmissionReviews: the request that a webhook gets, and what its answer must look like.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/webhook/request.
"""

from __future__ import annotations

import uuid
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors
from sampan.api.errors import APIStatusError
from sampan.api.field import go_quote
from sampan.apiserver.admission.interface import DELETE

if TYPE_CHECKING:
    from sampan.api.gvk import GroupVersionKind, GroupVersionResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.matching import Invocation

GROUP = "admission.k8s.io"
SUPPORTED = ("v1", "v1beta1")


class ReviewError(ValueError):
    """An answer is no proper AdmissionReview; the text is kube-apiserver's."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What a webhook answered. patch: JSON of a JSON patch, empty for none. result: its Status, if any."""

    allowed: bool
    patch: bytes
    result: Object | None
    warnings: list[str]
    annotations: dict[str, str]


def new_uid() -> str:
    return str(uuid.uuid4())


def build(  # noqa: PLR0917 - one caller
    invocation: Invocation, request: AdmissionRequest, uid: str, version: str, obj: Object | None, old: Object | None
) -> bytes:
    """Encode the review. obj, old: in the version that the webhook wants."""
    own = {"group": request.resource.group, "version": request.version, "resource": request.resource.resource}
    asked: Object = {"uid": uid, "kind": _kind(invocation.kind), "resource": _resource(invocation.resource)}
    if request.subresource:
        asked["subResource"] = request.subresource
    asked["requestKind"] = _kind(request.kind)
    asked["requestResource"] = own
    if request.subresource:
        asked["requestSubResource"] = request.subresource
    if request.name:
        asked["name"] = request.name
    if namespace := namespace_of(request):
        asked["namespace"] = namespace
    asked["operation"] = request.operation
    asked["userInfo"] = request.user.info
    asked["object"], asked["oldObject"] = None if request.operation == DELETE else obj, old
    asked["dryRun"] = request.dry_run
    asked["options"] = dict(request.options) or None
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": asked})


def namespace_of(request: AdmissionRequest) -> str:
    """The namespace as admission names it: a namespace is in itself."""
    if request.resource == ("", "namespaces"):
        return request.name
    return request.namespace


def _kind(kind: GroupVersionKind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _resource(resource: GroupVersionResource) -> Object:
    return {"group": resource.group, "version": resource.version, "resource": resource.resource}


def parse(body: bytes, uid: str, version: str, *, mutating: bool) -> Verdict:
    """Read an answer. Raises ReviewError."""
    try:
        review: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(review, dict) or not isinstance(review.get("response"), dict):
        raise ReviewError("webhook response was absent")
    response: Object = review["response"]
    strict = version == "v1"
    _check_kind(review, version, strict=strict)
    given = response.get("uid") or ""
    if given != uid and (strict or given):
        raise ReviewError(f"expected response.uid={go_quote(uid)}, got {go_quote(given)}")
    return Verdict(
        allowed=response.get("allowed") is True, patch=_patch(response, mutating=mutating, strict=strict),
        result=response.get("status") if isinstance(response.get("status"), dict) else None,
        warnings=[one for one in response.get("warnings") or () if isinstance(one, str)],
        annotations=dict(response.get("auditAnnotations") or {}),
    )  # fmt: skip


def _check_kind(review: Object, version: str, *, strict: bool) -> None:
    kind, api_version = review.get("kind") or "", review.get("apiVersion") or ""
    if (kind, api_version) == ("AdmissionReview", f"{GROUP}/{version}") or (not strict and not kind):
        return
    group, _, got = api_version.rpartition("/")
    raise ReviewError(
        f"expected webhook response of {GROUP}/{version}, Kind=AdmissionReview, got {group}/{got}, Kind={kind}"
    )


def _patch(response: Object, *, mutating: bool, strict: bool) -> bytes:
    patch, kind = response.get("patch") or "", response.get("patchType")
    if not mutating:
        if strict and patch:
            raise ReviewError("validating webhook may not return response.patch")
        if strict and kind is not None:
            raise ReviewError("validating webhook may not return response.patchType")
        return b""
    if strict and patch and kind is None:
        raise ReviewError("webhook returned response.patch but not response.patchType")
    if strict and not patch and kind is not None:
        raise ReviewError("webhook returned response.patchType but not response.patch")
    if patch and kind not in ("JSONPatch", None):
        raise ReviewError(f"webhook returned invalid response.patchType of {go_quote(str(kind))}")
    try:
        return b64decode(patch, validate=True)
    except ValueError as error:
        raise ReviewError(f"illegal base64 data: {error}") from error


class Denied(APIStatusError):
    """A refusal with a reason that only the webhook knows."""

    def __init__(self, status: Object) -> None:
        super().__init__(status["message"], details=status.get("details"), code=status["code"])
        self._status = status

    def to_status(self) -> Object:
        return self._status


def denied(name: str, result: Object | None) -> APIStatusError:
    """The answer to a request that a webhook refuses."""
    known = ("status", "message", "reason", "details", "code")
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    status.update((key, (result or {})[key]) for key in known if (result or {}).get(key))
    if not isinstance(status.get("code"), int) or status["code"] < 400:
        status["code"] = 400
    if status.get("status") in (None, "", "Success"):
        status["status"] = "Failure"
    by = f"admission webhook {go_quote(name)} denied the request"
    if status.get("message"):
        status["message"] = f"{by}: {status['message']}"
    elif status.get("reason"):
        status["message"] = f"{by}: {status['reason']}"
    else:
        status["message"] = f"{by} without explanation"
    found = errors.from_status(status)
    return found if found.reason == status.get("reason", "") else Denied(status)
