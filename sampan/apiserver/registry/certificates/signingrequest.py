"""CertificateSigningRequests."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from sampan.api import field, times
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import FieldPaths, Strategy
from sampan.apiserver.registry.validation import names
from sampan.apiserver.registry.validation.encoding import decoded
from sampan.apiserver.registry.validation.signers import signer_name

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_STATUS = Path("status")
_CONDITIONS = _STATUS.child("conditions")
_USAGES = frozenset({
    "signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment",
    "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing",
    "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing",
    "microsoft sgc", "netscape sgc",
})  # fmt: skip
_IMMUTABLE = "field is immutable"
_PEM = "-----BEGIN CERTIFICATE REQUEST-----"


class CertificateSigningRequestStrategy(Strategy):
    """Certificate signing requests; who asks is recorded by the server, approvals come through their subresource."""

    tracks_generation = False
    selectable = ("spec.signerName",)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        spec, user = obj.setdefault("spec", {}), ctx.user
        for key in ("username", "uid", "groups", "extra"):
            spec.pop(key, None)
        if user.get("username"):
            spec["username"] = user["username"]
        if user.get("uid"):
            spec["uid"] = user["uid"]
        if user.get("groups"):
            spec["groups"] = list(user["groups"])
        if user.get("extra"):
            spec["extra"] = {key: list(values) for key, values in user["extra"].items()}

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        new["spec"] = old["spec"]

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        new["spec"] = old["spec"]
        status, before = new.setdefault("status", {}), old.get("status") or {}
        # Approval and denial are not for signers to change.
        kept = [one for one in before.get("conditions") or () if one.get("type") in ("Approved", "Denied")]
        others = [one for one in status.get("conditions") or () if one.get("type") not in ("Approved", "Denied")]
        _fill_times(ctx, others, before)
        if kept or others:
            status["conditions"] = _merged(before.get("conditions") or [], kept, others)
        else:
            status.pop("conditions", None)

    def prepare_for_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        if ctx.subresource != "approval":
            return
        new["spec"] = old["spec"]
        status, before = new.get("status") or {}, dict(old.get("status") or {})
        conditions = status.get("conditions") or []
        _fill_times(ctx, conditions, before)
        if conditions:
            before["conditions"] = conditions
        else:
            before.pop("conditions", None)
        new["status"] = before

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        _request(errors, spec)
        usages = spec.get("usages") or []
        if not usages:
            errors.append(field.required(_SPEC.child("usages")))
        for position, usage in enumerate(usages):
            where = _SPEC.child("usages").index(position)
            if usage not in _USAGES:
                errors.append(field.not_supported(where, usage, tuple(sorted(_USAGES))))
            if usage in usages[:position]:
                errors.append(field.duplicate(where, usage))
        signer = spec.get("signerName", "")
        if signer == "kubernetes.io/legacy-unknown":
            detail = "the legacy signerName is not allowed via this API version"
            errors.append(field.invalid(_SPEC.child("signerName"), signer, detail))
        else:
            signer_name(errors, _SPEC.child("signerName"), signer)
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            detail = "may not specify a duration less than 600 seconds (10 minutes)"
            errors.append(field.invalid(_SPEC.child("expirationSeconds"), seconds, detail))
        _conditions(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return []

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _conditions(errors, new)
        _decisions(errors, new, old, may_decide=False)
        status, before = new.get("status") or {}, old.get("status") or {}
        certificate = status.get("certificate")
        if before.get("certificate") and certificate != before["certificate"]:
            errors.append(field.invalid(_STATUS.child("certificate"), certificate, _IMMUTABLE))
        elif certificate:
            _certificate(errors, certificate)
        return errors

    def validate_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _conditions(errors, new)
        _decisions(errors, new, old, may_decide=True)
        return errors

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"spec.signerName": (obj.get("spec") or {}).get("signerName", "")}

    def reset_fields(self, subresource: str) -> FieldPaths:
        if subresource == "approval":
            return (("spec",), ("status", "certificate"))
        if subresource == "status":
            return (("spec",),)
        return (("spec", "username"), ("spec", "uid"), ("spec", "groups"), ("spec", "extra"), ("status",))


def _merged(before: list[Object], kept: list[Object], others: list[Object]) -> list[Object]:
    order = {one.get("type"): position for position, one in enumerate(before)}
    return sorted([*kept, *others], key=lambda one: order.get(one.get("type"), len(order)))


def _fill_times(ctx: WriteContext, conditions: list[Object], before: Object) -> None:
    now = times.format_time(ctx.clock.time())
    known = {one.get("type"): one for one in before.get("conditions") or ()}
    for one in conditions:
        earlier = known.get(one.get("type"))
        if not one.get("status"):
            one["status"] = "True"
        if not one.get("lastUpdateTime"):
            one["lastUpdateTime"] = now
        if not one.get("lastTransitionTime"):
            same = earlier is not None and earlier.get("status") == one["status"]
            one["lastTransitionTime"] = (earlier or {}).get("lastTransitionTime") if same else now


def _request(errors: Errors, spec: Object) -> None:
    path = _SPEC.child("request")
    text = decoded(spec.get("request"))
    shown = spec.get("request")
    if _PEM.encode() not in text:
        errors.append(field.invalid(path, shown, "PEM block type must be CERTIFICATE REQUEST"))
        return
    try:
        request = x509.load_pem_x509_csr(text)
        valid = request.is_signature_valid
    except ValueError as error:
        errors.append(field.invalid(path, shown, str(error)))
        return
    if not valid:
        errors.append(field.invalid(path, shown, "x509: invalid signature"))


def _certificate(errors: Errors, value: str) -> None:
    path = _STATUS.child("certificate")
    try:
        found = x509.load_pem_x509_certificates(decoded(value))
    except ValueError as error:
        errors.append(field.invalid(path, "<certificate data>", str(error)))
        return
    if not found:
        detail = "must contain at least one CERTIFICATE PEM block"
        errors.append(field.invalid(path, "<certificate data>", detail))


def _conditions(errors: Errors, obj: Object) -> None:
    kinds: list[str] = []
    for position, one in enumerate((obj.get("status") or {}).get("conditions") or ()):
        path, kind, status = _CONDITIONS.index(position), one.get("type", ""), one.get("status", "")
        if not kind:
            errors.append(field.required(path.child("type")))
        if kind in ("Approved", "Denied", "Failed"):
            if status != "True":
                names.one_of_required(errors, path.child("status"), status, ("True",))
        else:
            names.one_of_required(errors, path.child("status"), status, ("False", "True", "Unknown"))
        if kind and kind in kinds:
            errors.append(field.duplicate(path.child("type"), kind))
        if {"Approved": "Denied", "Denied": "Approved"}.get(kind) in kinds:
            detail = "Approved and Denied conditions are mutually exclusive"
            errors.append(field.invalid(path.child("type"), kind, detail))
        kinds.append(kind)


def _decisions(errors: Errors, new: Object, old: Object, *, may_decide: bool) -> None:
    after, before = (
        {one.get("type"): one for one in (obj.get("status") or {}).get("conditions") or ()} for obj in (new, old)
    )
    for kind in ("Approved", "Denied", "Failed"):
        if kind in before and kind not in after:
            detail = f"updates may not remove a condition of type {field.go_quote(kind)}"
            errors.append(field.forbidden(_CONDITIONS, detail))
    for kind in ("Approved", "Denied"):
        if kind in after and kind not in before and not may_decide:
            detail = f"updates may not add a condition of type {field.go_quote(kind)}"
            errors.append(field.forbidden(_CONDITIONS, detail))
