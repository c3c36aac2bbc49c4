"""APIServices: groups and versions served here or by another server."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, times
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")


class APIServiceStrategy(Strategy):
    """API services; those without a service are served by this process and always available."""

    tracks_generation = False
    name_kind = "path"

    def default(self, obj: Object) -> None:
        service = obj.setdefault("spec", {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = 443

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        if obj["spec"].get("service") is None:
            obj["status"] = {
                "conditions": [
                    {
                        "type": "Available",
                        "status": "True",
                        "lastTransitionTime": times.format_time(ctx.clock.time()),
                        "reason": "Local",
                        "message": "Local APIServices are always available",
                    }
                ]
            }

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        group, version = spec.get("group", ""), spec.get("version", "")
        wanted = f"{version}.{group}"
        if name != wanted:
            detail = f'must be `spec.version+"."+spec.group`: {field.go_quote(wanted)}'
            errors.append(field.invalid(Path("metadata").child("name"), name, detail))
        if group:
            names.dns_subdomain(errors, _SPEC.child("group"), group)
        names.dns1035_label(errors, _SPEC.child("version"), version)
        for key, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
            value = spec.get(key, 0)
            if not 0 < value <= limit:
                errors.append(field.invalid(_SPEC.child(key), value, f"must be positive and less than {limit}"))
        self._service(errors, spec)
        return errors

    @staticmethod
    def _service(errors: Errors, spec: Object) -> None:
        service = spec.get("service")
        if service is None:
            if spec.get("caBundle"):
                detail = "local APIServices may not have a caBundle"
                errors.append(field.invalid(_SPEC.child("caBundle"), f"{len(spec['caBundle'])} bytes", detail))
            if spec.get("insecureSkipTLSVerify"):
                detail = "local APIServices may not have insecureSkipTLSVerify"
                errors.append(field.invalid(_SPEC.child("insecureSkipTLSVerify"), True, detail))
            return
        path = _SPEC.child("service")
        for key in ("namespace", "name"):
            if not service.get(key):
                errors.append(field.required(path.child(key)))
        port = service.get("port")
        if port is not None:
            numbers.port(errors, path.child("port"), port)
        if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
            detail = "may not be true if caBundle is present"
            errors.append(field.invalid(_SPEC.child("insecureSkipTLSVerify"), True, detail))

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        for position, one in enumerate((new.get("status") or {}).get("conditions") or ()):
            where = Path("status").child("conditions").index(position).child("status")
            names.one_of(errors, where, one.get("status", ""), ("True", "False", "Unknown"))
        return errors
