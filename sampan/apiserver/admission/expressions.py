"""CEL as admission uses it: the variables of a request, the authorizer, JSON patches; programs compiled once.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/cel. Objects are of no declared type here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.api import cel
from sampan.api.cel import libraries, standard
from sampan.api.cel import types as t
from sampan.api.cel.overloads import Functions
from sampan.api.cel.values import Opaque
from sampan.apiserver.authn.user import User, service_account_groups
from sampan.apiserver.authz.interface import Attributes
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.gvk import GroupVersionKind, GroupVersionResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.registry.strategy import Getter

_VARIABLES = (
    "object", "oldObject", "request", "params", "namespaceObject", "variables",
)  # fmt: skip
_REQUEST_RESOURCE = "authorizer_requestResource"
_QUALIFIED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\bauthorizer\.requestResource\b""")
_PATCH = {"op": t.STRING, "path": t.STRING, "from": t.STRING, "value": t.DYN}


class EvaluationError(SampanError):
    """An expression failed; the text is kube-apiserver's."""


class _AnyFields(dict[str, t.Type]):
    """Fields of a type that has all of them."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> t.Type:
        return t.DYN

    def get(self, key: str, default: Any = None) -> Any:
        del default
        return self[key]


class _Types(dict[str, t.Type]):
    """``JSONPatch``, and ``Object`` with whatever lies in it."""

    def get(self, key: str, default: Any = None) -> Any:
        if key == "Object" or key.startswith("Object."):
            return t.object_type(key, _AnyFields)
        return super().get(key, default)


@lru_cache(maxsize=1)
def _environment() -> cel.Environment:
    functions = Functions()
    standard.install(functions)
    libraries.install(functions)
    if not functions.knows("requestResource"):
        _install_authorizer(functions)
    functions.add("jsonpatch.escapeKey", (t.STRING,), t.STRING, lambda s: s.replace("~", "~0").replace("/", "~1"))
    variables = {
        **dict.fromkeys(_VARIABLES, t.DYN), "authorizer": t.AUTHORIZER, _REQUEST_RESOURCE: t.RESOURCE_CHECK
    }  # fmt: skip
    return cel.Environment(
        variables=variables, objects=_Types(JSONPatch=t.object_type("JSONPatch", lambda: _PATCH)), functions=functions
    )


def _install_authorizer(functions: Functions) -> None:
    """authorizer.group("apps").resource("deployments").namespace("n").check("create").allowed() and its kin."""
    add, resource = functions.add, t.RESOURCE_CHECK

    def changed(name: str) -> Any:
        return lambda check, value: Opaque(t.RESOURCE_CHECK.name, _with(check.value, **{name: value}))

    add("path", (t.AUTHORIZER, t.STRING), t.PATH_CHECK, _path, member=True)
    add("group", (t.AUTHORIZER, t.STRING), t.GROUP_CHECK, _group, member=True)
    add("serviceAccount", (t.AUTHORIZER, t.STRING, t.STRING), t.AUTHORIZER, _service_account, member=True)
    add("resource", (t.GROUP_CHECK, t.STRING), resource, _resource, member=True)
    for name in ("subresource", "namespace", "name"):
        add(name, (resource, t.STRING), resource, changed(name), member=True)
    for name in ("fieldSelector", "labelSelector"):  # they narrow a list, which RBAC does not look at
        add(name, (resource, t.STRING), resource, lambda check, _: check, member=True)
    add(
        "check",
        (resource, t.STRING),
        t.DECISION,
        lambda check, verb: _decide(_with(check.value, verb=verb)),
        member=True,
    )
    add(
        "check",
        (t.PATH_CHECK, t.STRING),
        t.DECISION,
        lambda check, verb: _decide(_with(check.value, verb=verb)),
        member=True,
    )
    add("allowed", (t.DECISION,), t.BOOL, lambda decision: decision.value.allowed, member=True)
    add("reason", (t.DECISION,), t.STRING, lambda decision: decision.value.reason, member=True)
    add("errored", (t.DECISION,), t.BOOL, lambda _: False, member=True)
    add("error", (t.DECISION,), t.STRING, lambda _: "", member=True)


def _with(state: tuple[Authorizer, Attributes], **changes: Any) -> tuple[Authorizer, Attributes]:
    return state[0], replace(state[1], **changes)


def _path(authorizer: Opaque, path: str) -> Opaque:
    return Opaque(t.PATH_CHECK.name, _with(authorizer.value, path=path, is_resource=False))


def _group(authorizer: Opaque, group: str) -> Opaque:
    return Opaque(t.GROUP_CHECK.name, _with(authorizer.value, group=group, version="*"))


def _resource(group: Opaque, resource: str) -> Opaque:
    return Opaque(t.RESOURCE_CHECK.name, _with(group.value, resource=resource))


def _service_account(authorizer: Opaque, namespace: str, name: str) -> Opaque:
    user = User(f"system:serviceaccount:{namespace}:{name}", groups=service_account_groups(namespace)).authenticated()
    return Opaque(t.AUTHORIZER.name, _with(authorizer.value, user=user))


def _decide(state: tuple[Authorizer, Attributes]) -> Opaque:
    return Opaque(t.DECISION.name, state[0].authorize(state[1]))


def admission_variables(  # noqa: PLR0917 - two callers
    request: AdmissionRequest, resource: GroupVersionResource, kind: GroupVersionKind, authorizer: Authorizer,
    obj: Object | None, old: Object | None, lookup: Getter | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What expressions may use. obj, old: in the version that was asked for. lookup: for namespaceObject."""
    own = {"group": request.resource.group, "version": request.version, "resource": request.resource.resource}
    asked: Object = {
        "kind": _kind(kind), "requestKind": _kind(request.kind), "requestResource": own, "operation": request.operation,
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.resource},
        "subResource": request.subresource, "requestSubResource": request.subresource, "name": request.name,
        "namespace": request.namespace, "userInfo": request.user.info, "dryRun": request.dry_run,
        "options": dict(request.options) or None,
    }  # fmt: skip
    namespace = lookup("", "namespaces", "", request.namespace) if lookup is not None and request.namespace else None
    attributes = Attributes(
        request.user, "", request.resource.group, request.version, request.resource.resource, request.subresource,
        request.namespace, request.name,
    )  # fmt: skip
    return {
        "object": obj, "oldObject": old, "request": asked, "params": None, "namespaceObject": namespace,
        "variables": {}, "authorizer": Opaque(t.AUTHORIZER.name, (authorizer, Attributes(request.user, ""))),
        _REQUEST_RESOURCE: Opaque(t.RESOURCE_CHECK.name, (authorizer, attributes)),
    }  # fmt: skip


def _kind(kind: GroupVersionKind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def evaluate(memo: dict[str, Any], expression: str, variables: Mapping[str, Any]) -> Any:
    """Run an expression, compiled on first use. memo: of its owner. Raises EvaluationError, CelError."""
    program = memo.get(expression)
    if program is None:
        program = memo[expression] = _compile(expression)
    if isinstance(program, cel.CompileError):
        raise EvaluationError(f"compilation error: {program}")
    value, _ = program.evaluate(variables)
    return value


def _compile(expression: str) -> cel.Program | cel.CompileError:
    # One name with a dot in it, which the checker takes for a field: as long as it was, so that places stay right.
    source = _QUALIFIED.sub(lambda match: match[1] or _REQUEST_RESOURCE, expression)
    try:
        return cel.compile(source, _environment())
    except cel.CompileError as error:
        return error


def with_variables(memo: dict[str, Any], definitions: Any, activation: dict[str, Any]) -> dict[str, str]:
    """Compute a policy's variables, each of which may use those before it; tells which failed, and why."""
    failed: dict[str, str] = {}
    values: dict[str, Any] = activation["variables"]
    for one in definitions or ():
        try:
            values[one["name"]] = evaluate(memo, one["expression"], activation)
        except SampanError as error:
            failed[one["name"]] = _explain(str(error), failed)
    return failed


def _explain(text: str, failed: Mapping[str, str]) -> str:
    """A variable that failed is not there: say what was wrong with it."""
    name = text.removeprefix("no such key: ")
    return f'composited variable "{name}" fails to evaluate: {failed[name]}' if name in failed else text


def failure(error: SampanError, failed: Mapping[str, str]) -> str:
    """Word an error that an expression met."""
    return _explain(str(error), failed)
