"""Routes: which handler a request's path and method lead to, and the refusals of an unknown path or method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError, BadRequest, MethodNotAllowed, NotFound, UnsupportedMediaType
from sampan.apiserver import negotiate, options, requestinfo
from sampan.apiserver.handlers.plan import Plan, wants_pretty
from sampan.apiserver.http import response
from sampan.apiserver.http.response import Response
from sampan.apiserver.registry import metadata as meta

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.gvk import ResourceInfo
    from sampan.apiserver.http.head import Head
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.requestinfo import Query, RequestInfo

_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_SUB_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_CONNECT = frozenset({"exec", "attach", "portforward", "proxy", "log"})
_PATCH_TYPES = frozenset(
    {
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
        "application/apply-patch+yaml", "application/apply-patch+cbor",
    }
)  # fmt: skip

_DEPRECATED = {
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""Warnings of deprecated APIs."""

Handler = "Callable[[Any], Any]"


def not_found() -> NotFound:
    """The answer to a path that leads nowhere."""
    return NotFound("the server could not find the requested resource", details={})


def method_not_allowed() -> MethodNotAllowed:
    """The answer to a method that a path does not take."""
    return MethodNotAllowed("the server does not allow this method on the requested resource", details={})


class Router:
    """Finds handlers.

    verbs: handlers of the resources' own verbs. subresources: by (group, resource, subresource, verb), resource "*" for
    any. virtual: of resources that store nothing (reviews), by (group, resource). connect: of connect subresources.
    aggregated: of group and version that another server serves.
    """

    def __init__(
        self,
        registries: Resources,
        infos: Mapping[tuple[str, str, str], ResourceInfo],
        *,
        verbs: Mapping[str, Callable[[Any], Any]],
        subresources: Mapping[tuple[str, str, str, str], Callable[[Any], Any]],
        virtual: Mapping[tuple[str, str], Callable[[Any], Any]],
        connect: Callable[[Any], Any],
        other: Callable[[Plan, Head], Callable[[Any], Any] | None],
        aggregated: Callable[[str, str], Callable[[Any], Any] | None] = lambda group, version: None,  # noqa: ARG005
    ) -> None:
        self._registries = registries
        self._infos = infos
        self._verbs = verbs
        self._subresources = subresources
        self._virtual = virtual
        self._connect = connect
        self._other = other
        self._aggregated = aggregated

    def plan(self, head: Head) -> Plan:
        """Work out what a request asks for; errors become the plan's."""
        query = requestinfo.parse_query(head.query)
        info = requestinfo.parse(head.method, head.path, query)
        if info.is_resource:
            return self.plan_resource(info, head.method, query, head.headers)
        plan = Plan(info, query)
        try:
            plan.handler = self._other(plan, head)
            if plan.handler is None:
                raise not_found()
        except APIStatusError as error:
            self._remember(plan, error, head.headers)
        plan.pretty = wants_pretty(query, plan.accepted, head.headers.get("user-agent", ""))
        return plan

    def plan_resource(self, info: RequestInfo, method: str, query: Query, headers: Mapping[str, str]) -> Plan:
        """Plan a request on a resource, however its subject was found."""
        plan = Plan(info, query)
        try:
            self._plan_resource(plan, method, headers)
        except APIStatusError as error:
            self._remember(plan, error, headers)
        plan.pretty = wants_pretty(query, plan.accepted, headers.get("user-agent", ""))
        return plan

    @staticmethod
    def _remember(plan: Plan, error: APIStatusError, headers: Mapping[str, str]) -> None:
        plan.error = error
        plan.accepted = negotiate.negotiate_or_json(headers.get("accept", ""))

    def _plan_resource(self, plan: Plan, method: str, headers: Mapping[str, str]) -> None:
        info = plan.info
        key = (info.group, info.version, info.resource)
        resource = self._infos.get(key)
        if (resource is None and "." in info.group) or self._registries.is_dynamic(key):
            plan.handler = _Dynamic(self, plan, method, headers)
            return
        if resource is None:
            raise not_found()
        self._plan_known(plan, key, resource, method, headers)

    def replan(self, plan: Plan, method: str, headers: Mapping[str, str]) -> None:
        """Plan a request on a resource that may come, change and go. Raises what stands against it."""
        info = plan.info
        key = (info.group, info.version, info.resource)
        resource = self._infos.get(key)
        if resource is None:
            plan.handler = self._aggregated(info.group, info.version)
            if plan.handler is None:
                raise not_found()
            return
        self._plan_known(plan, key, resource, method, headers)
        plan.warning = self._registries.warnings.get(key, "")

    @property
    def epoch(self) -> int:
        """Grows whenever dynamic resources change."""
        return self._registries.epoch

    def _plan_known(
        self, plan: Plan, key: tuple[str, str, str], resource: ResourceInfo, method: str, headers: Mapping[str, str]
    ) -> None:
        info = plan.info
        plan.registry = self._registries.get(key)
        plan.warning = _DEPRECATED.get(key, "")
        if info.subresource:
            self._plan_subresource(plan, resource, method, headers)
        else:
            self._plan_main(plan, resource, method, headers)
        self._check_names(info)
        lists = info.verb in ("list", "watch")
        if info.subresource not in _CONNECT:
            plan.accepted = negotiate.negotiate(headers.get("accept", ""), lists=lists)
        if lists or info.verb == "deletecollection":
            plan.list_options = options.list_options(plan.query, watch=info.verb == "watch")

    @staticmethod
    def _check_names(info: RequestInfo) -> None:
        if info.has_name and (problems := meta.check_path_segment(info.name)):
            raise BadRequest(f'Name parameter invalid: "{info.name}": {problems[0]}')

    def _plan_main(self, plan: Plan, resource: ResourceInfo, method: str, headers: Mapping[str, str]) -> None:
        info, verbs = plan.info, resource.verbs
        self._check_scope(info, resource)
        wanted = _ITEM_VERBS if info.has_name else _COLLECTION_VERBS
        if not any(verb in verbs for verb in wanted.values()):
            raise not_found()
        if info.old_watch:
            if "watch" not in verbs:
                raise not_found()
            if method != "GET":
                raise method_not_allowed()
        elif wanted.get(method, "") not in verbs:
            raise method_not_allowed()
        if resource.namespaced and not info.has_namespace and method != "GET":
            raise method_not_allowed()
        if info.verb == "patch":
            _check_patch_type(headers)
        if plan.registry is None:
            plan.handler = self._virtual.get((info.group, info.resource))
            if plan.handler is None:
                raise not_found()
        else:
            plan.handler = self._verbs[info.verb]

    @staticmethod
    def _check_scope(info: RequestInfo, resource: ResourceInfo) -> None:
        if resource.namespaced:
            if info.has_name and not info.has_namespace:
                raise not_found()
        elif info.has_namespace:
            raise not_found()

    def _plan_subresource(self, plan: Plan, resource: ResourceInfo, method: str, headers: Mapping[str, str]) -> None:
        info = plan.info
        found = resource.subresources.get(info.subresource)
        if found is None or (info.tail and info.subresource != "proxy"):
            raise not_found()
        self._check_scope(info, resource)
        if not info.has_name:
            raise not_found()
        # HEAD and OPTIONS have no verb of their own; a proxy passes every method on.
        verb = _SUB_VERBS.get(method, "get" if info.subresource == "proxy" else "")
        if verb not in found.verbs:
            raise method_not_allowed()
        if info.subresource in _CONNECT:
            plan.handler = self._connect
            return
        if verb == "patch":
            _check_patch_type(headers)
        handlers = self._subresources
        handler = handlers.get((info.group, info.resource, info.subresource, verb))
        plan.handler = (
            handler or handlers.get(("*", "*", info.subresource, verb)) or handlers.get(("*", "*", "*", verb))
        )
        if plan.handler is None:
            raise method_not_allowed()


class _Dynamic:
    """The handler of resources that come and go: plans the request anew whenever they have changed.

    Plans live as long as a client's connection, definitions may not.
    """

    def __init__(self, router: Router, plan: Plan, method: str, headers: Mapping[str, str]) -> None:
        self._router = router
        self._plan = plan
        self._method = method
        self._headers = dict(headers)
        self._current: Plan | None = None
        self._epoch = -1

    def __call__(self, call: Any) -> Any:
        current = self._current
        if current is None or self._epoch != self._router.epoch:
            current = self._current = self._renew()
            self._epoch = self._router.epoch
        if current.error is not None:
            if isinstance(current.error, NotFound) and hasattr(call, "http"):
                # kube-apiserver's custom resources end in Go's own answer to unknown paths.
                return Response(404, b"404 page not found\n", [response.NO_SNIFF, response.TEXT_TYPE])
            raise current.error
        current.attributes = call.plan.attributes
        call.plan = current
        if current.warning:
            call.warnings.append(current.warning)
        assert current.handler is not None
        return current.handler(call)

    def _renew(self) -> Plan:
        plan = Plan(self._plan.info, self._plan.query)
        try:
            self._router.replan(plan, self._method, self._headers)
        except APIStatusError as error:
            plan.error = error
        plan.metric = self._plan.metric
        plan.pretty = wants_pretty(plan.query, plan.accepted, self._headers.get("user-agent", ""))
        return plan


def _check_patch_type(headers: Mapping[str, str]) -> None:
    media = headers.get("content-type", "").partition(";")[0].strip()
    if media not in _PATCH_TYPES:
        raise UnsupportedMediaType("415: Unsupported Media Type", details={})
