"""Pods (pkg/registry/core/pod)."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field, times
from sampan.api.field import Path
from sampan.api.names import is_dns1123_label
from sampan.apiserver.registry.core.podspec import containers, podannotations, podresize, podstatus, podupdate
from sampan.apiserver.registry.core.podspec.defaults import default_pod, mirror_service_account
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.podspec.spec import pod_spec
from sampan.apiserver.registry.core.podspec.warnings import ip_warnings, template_warnings
from sampan.apiserver.registry.core.qos import pod_qos
from sampan.apiserver.registry.strategy import FieldPaths, Strategy
from sampan.apiserver.registry.validation import gotypes

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_ANNOTATIONS = Path("metadata").child("annotations")


class PodStrategy(Strategy):
    """Pods. Deletion has a grace period, ended by the kubelet."""

    graceful = True
    selectable = (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    )  # fmt: skip

    def default(self, obj: Object) -> None:
        default_pod(obj.setdefault("spec", {"containers": None}))
        for name in ("podIP", "hostIP"):
            _mirror_ip(obj.get("status") or {}, name)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        spec = obj["spec"]
        status: Object = {"phase": "Pending"}
        if spec.get("schedulingGates"):
            status["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "lastProbeTime": None,
                    "lastTransitionTime": times.format_time(ctx.clock.time()),
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                }
            ]
        status["qosClass"] = pod_qos(spec)
        obj["status"] = status
        # Admission may have chosen the account since.
        mirror_service_account(spec)
        labels = obj["metadata"].get("labels")
        if labels:
            _merge_label_keys(spec, labels)
        if values := obj["metadata"].get("annotations"):
            _app_armor_fields(spec, values)

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        mirror_service_account(new["spec"])

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        _whole(errors, obj, options_for(None, pod=True))
        if spec.get("ephemeralContainers"):
            errors.append(field.forbidden(_SPEC.child("ephemeralContainers"), "cannot be set on create"))
        if spec.get("nodeName") and spec.get("schedulingGates"):
            detail = "cannot be set until all schedulingGates have been cleared"
            errors.append(field.forbidden(_SPEC.child("nodeName"), detail))
        if values := obj["metadata"].get("annotations"):
            podannotations.match_fields(errors, _SPEC, values, spec)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        options = options_for(old["spec"], pod=True)
        _whole(errors, new, options)
        _annotation_changes(errors, new, old, options)
        podupdate.spec_update(errors, new["spec"], old["spec"])
        return errors

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        new["spec"] = old["spec"]
        metadata, before = new["metadata"], old["metadata"]
        for key in ("ownerReferences", "deletionTimestamp"):
            if key in before:
                metadata[key] = before[key]
            else:
                metadata.pop(key, None)
        status, previous = new.setdefault("status", {}), old.get("status") or {}
        if not status.get("qosClass") and previous.get("qosClass"):
            status["qosClass"] = previous["qosClass"]
        _keep_observed_generations(status, previous)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        podstatus.status_update(errors, new, old, options_for(old["spec"], pod=True))
        return errors

    def prepare_for_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        if ctx.subresource == "ephemeralcontainers":
            spec = dict(old["spec"])
            spec.pop("ephemeralContainers", None)
            if added := new["spec"].get("ephemeralContainers"):
                spec["ephemeralContainers"] = added
            new["spec"] = spec
        elif ctx.subresource == "resize":
            podresize.keep_only_resize(new, old)
        if "status" in old:
            new["status"] = old["status"]

    def validate_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        options = options_for(old["spec"], pod=True)
        _whole(errors, new, options)
        if ctx.subresource == "resize":
            podresize.resize_update(errors, new, old)
        elif ctx.subresource == "ephemeralcontainers":
            _annotation_changes(errors, new, old, options)
            _ephemeral_changes(errors, new, old)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = []
        if messages := is_dns1123_label(obj["metadata"].get("name", "")):
            found.append(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
                f"a DNS label is recommended: [{' '.join(messages)}]"
            )
        return found + template_warnings(None, obj)

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        if ctx.subresource != "status":
            return []
        found: list[str] = []
        for kind in ("podIPs", "hostIPs"):
            for position, one in enumerate((new.get("status") or {}).get(kind) or ()):
                path = Path("status").child(kind).index(position).child("ip")
                found += ip_warnings(path, one.get("ip", ""))
        return found

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        ips = status.get("podIPs") or ()
        return {
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.restartPolicy": spec.get("restartPolicy", ""),
            "spec.schedulerName": spec.get("schedulerName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
            "status.phase": status.get("phase", ""),
            "status.podIP": status.get("podIP", ""),
            "status.podIPs": ips[0].get("ip", "") if ips else "",
            "status.nominatedNodeName": status.get("nominatedNodeName", ""),
        }

    def reset_fields(self, subresource: str) -> FieldPaths:
        if subresource == "status":
            return (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences"))
        return (("status",),)

    def grace_period(self, obj: Object, requested: int | None) -> int:
        spec = obj.get("spec") or {}
        period = requested if requested is not None else spec.get("terminationGracePeriodSeconds") or 0
        phase = (obj.get("status") or {}).get("phase")
        if not spec.get("nodeName") or phase in ("Failed", "Succeeded"):
            return 0
        return 1 if period < 0 else period


def _whole(errors: Errors, pod: Object, options: PodOptions) -> None:
    spec, metadata = pod["spec"], pod["metadata"]
    if values := metadata.get("annotations"):
        podannotations.pod_annotations(errors, _ANNOTATIONS, values, spec, options)
    pod_spec(errors, _SPEC, spec, options, pod_name=metadata.get("name", ""))
    if not spec.get("serviceAccountName"):
        _no_tokens(errors, spec)
    for kind in ("containers", "initContainers"):
        for position, container in enumerate(spec.get(kind) or ()):
            image = container.get("image", "")
            if image and (image[0].isspace() or image[-1].isspace()):
                containers.only_for_pod(errors, _SPEC.child(kind).index(position), container)


def _no_tokens(errors: Errors, spec: Object) -> None:
    for position, volume in enumerate(spec.get("volumes") or ()):
        for index, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if "serviceAccountToken" in source:
                path = _SPEC.child("volumes").index(position).child("projected", "sources").index(index)
                detail = "must not be specified when serviceAccountName is not set"
                errors.append(field.forbidden(path.child("serviceAccountToken"), detail))


def _annotation_changes(errors: Errors, new: Object, old: Object, options: PodOptions) -> None:
    current, before = new["metadata"].get("annotations"), old["metadata"].get("annotations")
    if current or before:
        podannotations.annotation_updates(errors, _ANNOTATIONS, current or {}, before or {})
        podannotations.pod_annotations(errors, _ANNOTATIONS, current or {}, new["spec"], options)


def _ephemeral_changes(errors: Errors, new: Object, old: Object) -> None:
    if podannotations.MIRROR in (old["metadata"].get("annotations") or {}):
        errors[:] = [field.forbidden(Path(""), "static pods do not support ephemeral containers")]
        return
    path = _SPEC.child("ephemeralContainers")
    present = {one.get("name", ""): one for one in new["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container.get("name", "")
        quoted = field.go_quote(name)
        if name not in present:
            errors.append(field.forbidden(path, f"existing ephemeral containers {quoted} may not be removed\n"))
        elif present[name] != container:
            changes = gotypes.difference("core.v1.EphemeralContainer", container, present[name])
            detail = f"existing ephemeral containers {quoted} may not be changed\n{changes}"
            errors.append(field.forbidden(path, detail))


def _mirror_ip(status: Object, name: str) -> None:
    """The singular field is the first of the plural one; either may be given."""
    single, several = status.get(name), status.get(f"{name}s")
    if single and (not several or several[0].get("ip") != single) and name == "podIP":
        status[f"{name}s"] = [{"ip": single}]
    elif several and not single and name == "podIP":
        status[name] = several[0].get("ip", "")


def _keep_observed_generations(status: Object, previous: Object) -> None:
    """A client that does not know of observedGeneration does not clear it."""
    if not status.get("observedGeneration") and previous.get("observedGeneration"):
        status["observedGeneration"] = previous["observedGeneration"]
    known: dict[str, list[int]] = {}
    for condition in previous.get("conditions") or ():
        known.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration", 0))
    for condition in status.get("conditions") or ():
        generations = known.get(condition.get("type", ""))
        generation = generations.pop(0) if generations else 0
        if generation and not condition.get("observedGeneration"):
            condition["observedGeneration"] = generation


def _merge_label_keys(spec: Object, labels: dict[str, str]) -> None:
    """Turn matchLabelKeys and mismatchLabelKeys into requirements of the selectors."""
    affinity = spec.get("affinity")
    if affinity:
        for kind in ("podAffinity", "podAntiAffinity"):
            one = affinity.get(kind) or {}
            for term in one.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
                _add_requirements(term, labels)
            for weighted in one.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
                _add_requirements(weighted.get("podAffinityTerm") or {}, labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _add_requirements(constraint, labels)


def _add_requirements(term: Object, labels: dict[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(name) or ():
            if key in labels:
                requirement: dict[str, Any] = {"key": key, "operator": operator, "values": [labels[key]]}
                selector.setdefault("matchExpressions", []).append(requirement)


def _app_armor_fields(spec: Object, values: dict[str, str]) -> None:
    """Fill appArmorProfile in from the annotation that it replaced."""
    if (spec.get("os") or {}).get("name") == "windows" or "appArmorProfile" in (spec.get("securityContext") or {}):
        return
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            value = values.get(podannotations.APP_ARMOR + container.get("name", ""))
            if value is None or "appArmorProfile" in (container.get("securityContext") or {}):
                continue
            profile = _app_armor_profile(value)
            if profile is not None:
                container.setdefault("securityContext", {})["appArmorProfile"] = profile


def _app_armor_profile(value: str) -> Object | None:
    if value == "unconfined":
        return {"type": "Unconfined"}
    if value == "runtime/default":
        return {"type": "RuntimeDefault"}
    if value.startswith("localhost/") and value != "localhost/":
        return {"type": "Localhost", "localhostProfile": value.removeprefix("localhost/")}
    return None
