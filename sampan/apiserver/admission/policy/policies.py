"""Policies and their bindings as the server uses them, and how one is matched and parametrised.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/policy/generic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api import labels
from sampan.api.gvk import GroupVersionKind
from sampan.apiserver.admission.webhooks.hooks import Hook
from sampan.apiserver.admission.webhooks.matching import rule_matches
from sampan.apiserver.storage.resourcestore import Selection
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.matching import Invocation, Matcher
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.registry.strategy import Getter
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import ResourceStore

_EVERYTHING = Selection()
_NO_PARAMS = "no params found for policy binding with `Deny` parameterNotFoundAction"


class ConfigurationError(SampanError):
    """A policy or binding cannot be used as it is; denies unless the policy ignores failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One binding. match: None matches all that the policy does."""

    name: str
    spec: Object
    match: Match | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Match constraints. hook: stands for them before the `Matcher`."""

    hook: Hook
    rules: Sequence[Object]
    excluded: Sequence[Object]

    def find(self, matcher: Matcher, request: AdmissionRequest) -> Invocation | None:
        """How the object is wanted; None when the request does not match."""
        found = matcher.invocation(self.hook, request)
        if found is None:
            return None
        if any(rule_matches(one, request, found.resource) and _named(one, request) for one in self.excluded):
            return None
        if not self.rules or any(
            rule_matches(one, request, found.resource) and _named(one, request) for one in self.rules
        ):
            return found
        return None


def _named(rule: Object, request: AdmissionRequest) -> bool:
    names = rule.get("resourceNames")
    return not names or request.name in names


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy with its bindings. memo: its compiled expressions."""

    name: str
    spec: Object
    match: Match
    bindings: Sequence[Binding]
    ignores_failures: bool
    memo: dict[str, Any]


class Policies:
    """All bound policies of one kind. policies, bindings: their stores."""

    def __init__(self, policies: Callable[[], ResourceStore], bindings: Callable[[], ResourceStore]) -> None:
        self._policies = policies
        self._bindings = bindings
        self._compiled: tuple[Sequence[Entry], Sequence[Entry], list[Policy]] = ((), (), [])

    def current(self) -> Sequence[Policy]:
        """The policies that have bindings, by name; costs next to nothing where there are none."""
        store = self._policies()
        if not len(store):
            return ()
        policies = store.list(_EVERYTHING).entries
        bindings = self._bindings().list(_EVERYTHING).entries
        known_policies, known_bindings, compiled = self._compiled
        if not (_same(known_policies, policies) and _same(known_bindings, bindings)):
            compiled = list(_compile(policies, bindings))
            self._compiled = (policies, bindings, compiled)
        return compiled


def _same(one: Sequence[Entry], other: Sequence[Entry]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _compile(policies: Sequence[Entry], bindings: Sequence[Entry]) -> Iterable[Policy]:
    bound: dict[str, list[Binding]] = {}
    for entry in bindings:
        spec = entry.object.get("spec") or {}
        match = spec.get("matchResources")
        binding = Binding(name=entry.name, spec=spec, match=None if match is None else _match(match, entry.name))
        bound.setdefault(spec.get("policyName", ""), []).append(binding)
    for entry in policies:
        if entry.name in bound:
            spec = entry.object.get("spec") or {}
            yield Policy(
                name=entry.name, spec=spec, match=_match(spec.get("matchConstraints") or {}, entry.name),
                bindings=bound[entry.name], ignores_failures=spec.get("failurePolicy") == "Ignore", memo={},
            )  # fmt: skip


_ALL = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"], "scope": "*"}]


def _match(constraints: Object, name: str) -> Match:
    rules = constraints.get("resourceRules") or []
    hook = Hook(
        uid=name, configuration=name, name=name, client={}, ca=b"", rules=rules or _ALL,
        namespaces=_selector(constraints.get("namespaceSelector")),
        objects=_selector(constraints.get("objectSelector")),
        equivalent=constraints.get("matchPolicy") != "Exact", ignores_failures=False, timeout=0, side_effects="None",
        versions=(), reinvoked_if_needed=False, conditions=(), memo={},
    )  # fmt: skip
    return Match(hook=hook, rules=rules, excluded=constraints.get("excludeResourceRules") or [])


def _selector(raw: Object | None) -> labels.Selector | None:
    return labels.from_object(raw) if raw and (raw.get("matchLabels") or raw.get("matchExpressions")) else None


class Parameters:
    """Finds the parameter objects of bindings."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def find(self, policy: Policy, binding: Binding, request: AdmissionRequest) -> list[Object | None]:
        """The parameters to evaluate with; [None] where the policy takes none. Raises ConfigurationError."""
        kind, reference = policy.spec.get("paramKind"), binding.spec.get("paramRef")
        if kind is None or reference is None:
            return [None]
        registry = self._resources.by_kind(GroupVersionKind.parse(kind.get("apiVersion", ""), kind.get("kind", "")))
        if registry is None:
            raise ConfigurationError(
                f"failed to configure policy: failed to find resource referenced by paramKind: '{_gvk_text(kind)}'"
            )
        namespace = self._namespace(reference, namespaced=registry.info.namespaced, request=request)
        group, resource = registry.info.group, registry.info.resource
        found: list[Object | None]
        if reference.get("name"):
            one = self._resources.lookup(group, resource, namespace, reference["name"])
            found = [] if one is None else [one]
        else:
            selector = labels.from_object(reference.get("selector"))
            found = [
                one for one in self._resources.objects(group, resource, namespace)
                if selector.matches(one["metadata"].get("labels") or {})
            ]  # fmt: skip
        if not found and reference.get("parameterNotFoundAction") == "Deny":
            raise ConfigurationError(f"failed to configure binding: {_NO_PARAMS}")
        return found

    @staticmethod
    def _namespace(reference: Object, *, namespaced: bool, request: AdmissionRequest) -> str:
        given: str = reference.get("namespace") or ""
        if not namespaced:
            if given:
                text = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
                raise ConfigurationError(f"failed to configure binding: {text}")
            return ""
        if given or request.namespace:
            return given or request.namespace
        text = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
        raise ConfigurationError(f"failed to configure binding: {text}")


def _gvk_text(kind: Object) -> str:
    return f"{kind.get('apiVersion', '')}, Kind={kind.get('kind', '')}"


class Evaluation:
    """One policy's expressions on one request and parameter object."""

    def __init__(self, policy: Policy, activation: dict[str, Any]) -> None:
        from sampan.apiserver.admission import expressions  # noqa: PLC0415 - CEL only where it is used

        self._cel = expressions
        self._memo = policy.memo
        self._activation = activation
        self._failed = expressions.with_variables(policy.memo, policy.spec.get("variables"), activation)

    def run(self, expression: str) -> tuple[Any, str]:
        """The value, or what went wrong."""
        try:
            return self._cel.evaluate(self._memo, expression, self._activation), ""
        except SampanError as error:
            text = self._cel.failure(error, self._failed)
            return None, f"expression '{expression}' resulted in error: {text}"


def conditions_hold(policy: Policy, activation: dict[str, Any]) -> tuple[bool, str]:
    """Evaluate a policy's match conditions: whether they hold, and what went wrong ("" when nothing did)."""
    from sampan.apiserver.admission import expressions  # noqa: PLC0415 - CEL only where it is used

    problem = ""
    for one in policy.spec.get("matchConditions") or ():
        try:
            if expressions.evaluate(policy.memo, one["expression"], activation) is not True:
                return False, ""
        except SampanError as error:
            problem = problem or f"expression '{one['expression']}' resulted in error: {error}"
    return True, problem


def activation_of(  # noqa: PLR0917 - two callers
    request: AdmissionRequest, resource: GroupVersionResource, kind: GroupVersionKind, authorizer: Authorizer,
    lookup: Getter, param: Object | None, obj: Object | None, old: Object | None,
) -> dict[str, Any]:  # fmt: skip
    """The variables for one evaluation."""
    from sampan.apiserver.admission import expressions  # noqa: PLC0415 - CEL only where it is used

    found = expressions.admission_variables(request, resource, kind, authorizer, obj, old, lookup)
    found["params"] = param
    return found
