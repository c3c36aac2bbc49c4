"""Pods' own subresources: binding and eviction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import errors, labels
from sampan.api.errors import APIStatusError, BadRequest, TooManyRequests
from sampan.api.gvk import GroupResource, GroupVersionKind
from sampan.apiserver.admission.interface import CREATE
from sampan.apiserver.handlers import body as bodies
from sampan.apiserver.handlers.writes import success, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import deletion
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.deletion import DeleteOptions
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import KeyNotFoundError, RevisionConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.registry.write import Outcome, Write

_BINDING = GroupVersionKind("", "v1", "Binding")
_EVICTION = GroupVersionKind("policy", "v1", "Eviction")
_PODS_BINDING = GroupResource("", "pods/binding")
_ATTEMPTS = 20
_MAX_DISRUPTED = 2000
_TOO_MANY = "Cannot evict pod as it would violate the pod's disruption budget."


class Pods:
    """Handlers that change pods on behalf of the scheduler and of those who drain nodes."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    # -- binding

    async def bind(self, call: Call) -> Outcome:
        """POST pods/<name>/binding."""
        return await self._bind(call, call.registry, call.info.name)

    async def bind_by_object(self, call: Call) -> Outcome:
        """POST bindings: the historic form, which names the pod in the body only."""
        registry = self._resources.get(("", "v1", "pods"))
        assert registry is not None
        return await self._bind(call, registry, "")

    async def _bind(self, call: Call, registry: Registry, name: str) -> Outcome:
        options = write_options(call.query, "CreateOptions")
        binding = bodies.decode(call, _BINDING, options.field_validation)
        write = write_of(call, options, "CreateOptions")
        registry.check_namespace(write, binding)
        write.name = name or binding["metadata"].get("name", "")
        write.subresource = "binding"
        request = registry.admission_request(CREATE, write, binding, None, _BINDING)
        await registry.admission.mutate(request)
        if name and binding["metadata"].get("name", "") != name:
            raise BadRequest("name in URL does not match name in Binding object")
        _check_binding(binding)
        await registry.admission.validate(request)
        await _retry(registry, write, lambda pod: self._assign(registry, pod, binding))
        return success(201)

    def _assign(self, registry: Registry, pod: Object, binding: Object) -> None:
        metadata, wanted = pod["metadata"], binding["metadata"]
        name = metadata["name"]
        for key in ("uid", "resourceVersion"):
            if wanted.get(key) and wanted[key] != metadata.get(key):
                spelled = "UID" if key == "uid" else "ResourceVersion"
                path = f"/registry/pods/{metadata['namespace']}/{name}"
                why = (
                    f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: "
                    f"Precondition failed: {spelled} in precondition: {wanted[key]}, {spelled} in object meta: "
                    f"{metadata.get(key)}"
                )
                raise errors.conflict(registry.group_resource, name, why)
        if metadata.get("deletionTimestamp"):
            raise errors.conflict(_PODS_BINDING, name, f"pod {name} is being deleted, cannot be assigned to a host")
        spec = pod["spec"]
        if spec.get("nodeName"):
            why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
            raise errors.conflict(_PODS_BINDING, name, why)
        if spec.get("schedulingGates"):
            raise errors.conflict(_PODS_BINDING, name, f"pod {name} has non-empty .spec.schedulingGates")
        spec["nodeName"] = binding["target"]["name"]
        for key in ("annotations", "labels"):
            if wanted.get(key):
                metadata[key] = {**(metadata.get(key) or {}), **wanted[key]}
        now = meta.now_text(registry.clock.time())
        set_condition(pod, {"type": "PodScheduled", "status": "True"}, now)

    # -- eviction

    async def evict(self, call: Call) -> Outcome:
        """POST pods/<name>/eviction: delete unless a disruption budget stands against it."""
        options = write_options(call.query, "CreateOptions")
        eviction = self._decode_eviction(call, options.field_validation)
        name = call.info.name
        if eviction["metadata"].get("name", "") != name:
            raise BadRequest("name in URL does not match name in Eviction object")
        registry = call.registry
        write = write_of(call, options, "CreateOptions")
        request = registry.admission_request(CREATE, write, eviction, None, _EVICTION)
        await registry.admission.mutate(request)
        raw = dict(eviction.get("deleteOptions") or {})
        if options.dry_run:
            raw["dryRun"] = ["All"]
        delete_options = DeleteOptions.of(raw)
        write.dry_run = bool(raw.get("dryRun"))
        pod = registry.view(registry.find(write.namespace, name))
        await registry.admission.validate(request)
        if not _ignores_budgets(pod):
            await self._take_from_budget(call, write, pod)
        await self._mark_and_delete(registry, write, delete_options, pod)
        return success(201)

    @staticmethod
    def _decode_eviction(call: Call, validation: str) -> Object:
        body = call.body
        kind = _EVICTION
        if isinstance(body, bytes) and b"policy/v1beta1" in body:
            kind = GroupVersionKind("policy", "v1beta1", "Eviction")
            body = body.replace(b"policy/v1beta1", b"policy/v1")
            call.body = body
            kind = _EVICTION
        return bodies.decode(call, kind, validation)

    async def _take_from_budget(self, call: Call, write: Write, pod: Object) -> None:
        budgets = self._budgets(pod)
        if len(budgets) > 1:
            raise APIStatusError(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        if not budgets:
            return
        if _is_not_ready(pod) and _may_evict_unhealthy(budgets[0]):
            return
        registry = self._resources.preferred("policy", "poddisruptionbudgets")
        assert registry is not None
        budget_write = write_of(call, write_options((), "UpdateOptions"), "UpdateOptions")
        budget_write.name = budgets[0]["metadata"]["name"]
        budget_write.dry_run = write.dry_run
        now = meta.now_text(registry.clock.time())
        await _retry(registry, budget_write, lambda budget: _spend(budget, pod["metadata"]["name"], now))

    def _budgets(self, pod: Object) -> list[Object]:
        metadata = pod["metadata"]
        found = []
        for budget in self._resources.objects("policy", "poddisruptionbudgets", metadata["namespace"]):
            selector = (budget.get("spec") or {}).get("selector")
            if selector is not None and labels.from_object(selector).matches(metadata.get("labels") or {}):
                found.append(budget)
        return found

    async def _mark_and_delete(self, registry: Registry, write: Write, options: DeleteOptions, pod: Object) -> None:
        write.subresource = ""
        if not write.dry_run:
            now = meta.now_text(registry.clock.time())
            condition = {
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }  # fmt: skip
            uid = options.uid or pod["metadata"].get("uid", "")

            def mark(current: Object) -> None:
                if current["metadata"].get("uid") != uid:
                    why = (
                        f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                        f"{current['metadata'].get('uid', '')}"
                    )
                    raise errors.conflict(registry.group_resource, write.name, why)
                set_condition(current, condition, now)

            await _retry(registry, write, mark)
            options.resource_version = ""
        await deletion.delete(registry, write, options)


def _check_binding(binding: Object) -> None:
    """kube-apiserver answers these with a bare 500."""
    target = binding.get("target") or {}
    if target.get("kind", "") not in ("", "Node"):
        kind = target["kind"]
        raise APIStatusError(f'target.kind: Unsupported value: "{kind}": supported values: "Node", "<empty>"')
    if not target.get("name"):
        raise APIStatusError("target.name: Required value")


def set_condition(obj: Object, condition: Object, now: str) -> None:
    """Set a status condition; its time changes only with its status."""
    status = obj.setdefault("status", {})
    conditions = status.get("conditions") or []
    for position, known in enumerate(conditions):
        if known.get("type") == condition["type"]:
            changed = known.get("status") != condition["status"]
            times = {"lastProbeTime": None, "lastTransitionTime": now if changed else known.get("lastTransitionTime")}
            conditions[position] = {**condition, **times}
            break
    else:
        conditions.append({**condition, "lastProbeTime": None, "lastTransitionTime": now})
    status["conditions"] = conditions


async def _retry(registry: Registry, write: Write, change: Callable[[Object], Any]) -> None:
    """Change the current object in place until it is stored."""
    for _ in range(_ATTEMPTS):
        current = registry.find(write.namespace, write.name)
        obj = registry.mutable(current)
        change(obj)
        try:
            await registry.overwrite(write, current, obj)
        except RevisionConflictError:
            await registry.catch_up()
            continue
        except KeyNotFoundError as error:
            raise errors.not_found(registry.group_resource, write.name) from error
        except StorageError as error:
            raise translate.update(registry.group_resource, write.name, error) from error
        return
    raise errors.conflict(registry.group_resource, write.name, "too many concurrent changes")


def _ignores_budgets(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _is_not_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _may_evict_unhealthy(budget: Object) -> bool:
    """A pod that is not ready may go when the policy says so, or when the budget's healthy ones suffice."""
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    return bool(healthy >= desired > 0)


def _spend(budget: Object, pod: str, now: str) -> None:
    """Take one disruption from a budget. Raises TooManyRequests, Forbidden."""
    name, status = budget["metadata"]["name"], budget.setdefault("status", {})
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        message = f"The disruption budget {name} is still being processed by the server."
        raise _refusal(message, retry_after=10)
    resource = GroupResource("policy", "poddisruptionbudgets")
    if status.get("disruptionsAllowed", 0) < 0:
        raise errors.forbidden(resource, name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or {}) > _MAX_DISRUPTED:
        raise errors.forbidden(
            resource, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        )
    if status.get("disruptionsAllowed", 0) == 0:
        desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refusal(f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
    status["disruptionsAllowed"] -= 1
    if status["disruptionsAllowed"] == 0:
        condition = {
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": status.get("observedGeneration", 0), "lastTransitionTime": now,
        }  # fmt: skip
        others = [one for one in status.get("conditions") or () if one.get("type") != "DisruptionAllowed"]
        status["conditions"] = [*others, condition]
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod: now}


def _refusal(message: str, *, retry_after: int | None = None) -> TooManyRequests:
    details = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    return TooManyRequests(_TOO_MANY, details=details, retry_after=retry_after)
