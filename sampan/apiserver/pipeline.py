"""The request path: request info, authentication, impersonation, authorization, handler, encoding.

One pipeline serves HTTP (`HTTPService`) and the local transport (`Pipeline.authorize` and the same handlers). Reads
answer synchronously, with no task and no coroutine; a handler that must wait gives an awaitable. Audit has its place
between authentication and authorization, flow control between authorization and the handler.
"""

from __future__ import annotations

from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sampan.api import errors
from sampan.api.errors import APIStatusError, RequestEntityTooLarge
from sampan.apiserver import encode, negotiate
from sampan.apiserver.authn import impersonation
from sampan.apiserver.authn.user import ANONYMOUS_USER
from sampan.apiserver.authz.interface import Attributes, forbidden_message, subject_of
from sampan.apiserver.handlers import watch as watches
from sampan.apiserver.handlers.call import Call
from sampan.apiserver.handlers.read import ListResult
from sampan.apiserver.handlers.watch import WatchRequest
from sampan.apiserver.http import connection as http_connection
from sampan.apiserver.http import response
from sampan.apiserver.http.response import Response
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.requestinfo import first
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sampan.apiserver.authn.authenticator import Authenticator
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.authz.rbac import RBACAuthorizer
    from sampan.apiserver.handlers.plan import Plan
    from sampan.apiserver.http.connection import Connection, HTTPRequest, Stream
    from sampan.apiserver.http.head import Head
    from sampan.apiserver.metrics import Metrics
    from sampan.apiserver.routes import Router

log = logger("apiserver")

_COMPRESS_FROM = 128 * 1024
"""Answers from this size are compressed for clients that accept it, as kube-apiserver does."""

_PLANS = 2048
"""Plans kept for heads that are not cached whole: those of requests with bodies."""


class Pipeline:
    """Authorizes planned requests."""

    def __init__(
        self, router: Router, authenticator: Authenticator, authorizer: Authorizer, rbac: RBACAuthorizer
    ) -> None:
        self.router = router
        self.authenticator = authenticator
        self.authorizer = authorizer
        self._rbac = rbac

    def authorize(self, plan: Plan, user: User) -> None:
        """Raise Forbidden unless the user may do what is planned. A grant is remembered until a role changes."""
        if plan.granted_to is user and plan.granted_at == self._rbac.generation:
            return
        attributes = plan.attributes
        if attributes is None or attributes.user is not user:
            info = plan.info
            attributes = plan.attributes = Attributes(
                user, info.verb, info.group, info.version, info.resource, info.subresource, info.namespace, info.name,
                info.path, info.is_resource,
                (first(plan.query, "fieldSelector") or "") if user.node_name else "",
            )  # fmt: skip
        decision = self.authorizer.authorize(attributes)
        if not decision.allowed:
            why = forbidden_message(attributes) + (f": {decision.reason}" if decision.reason else "")
            raise errors.forbidden(subject_of(attributes), plan.info.name if attributes.is_resource else "", why)
        if not user.node_name:  # what a node may do changes with the pods on it
            plan.granted_to, plan.granted_at = user, self._rbac.generation


class HTTPService:
    """Serves HTTP requests; never raises."""

    def __init__(self, pipeline: Pipeline, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._plans: dict[tuple[str | None, ...], Plan] = {}

    def knows(self, head: Head, connection: Connection) -> bool:
        """Whether valid credentials come with a request."""
        try:
            return self._pipeline.authenticator.authenticate(head, connection) is not ANONYMOUS_USER
        except APIStatusError:
            return False

    def serve(self, request: HTTPRequest) -> bytes | Awaitable[bytes] | Stream:
        started = perf_counter()
        head = request.head
        plan: Plan | None = head.plan
        call: Call | None = None
        try:
            if plan is None:
                plan = head.plan = self._plan(head)
            user = self._pipeline.authenticator.authenticate(head, request.connection)
            if "impersonate-user" in head.headers or impersonation.is_asked_for(head.headers):
                user = impersonation.impersonate(user, head.headers, self._pipeline.authorizer)
            self._pipeline.authorize(plan, user)
            _check(plan, request)
            call = Call(plan, user, request.body, head.headers)
            call.http = request
            assert plan.handler is not None
            result = plan.handler(call)
            if type(result) is Outcome:
                encoded = self._encode_outcome(call, result, started)
                if not isinstance(encoded, bytes):
                    return encoded
                answer = encoded
            elif isawaitable(result):
                return self._wait(call, result, started)
            else:
                found = self._encode(call, result)
                if not isinstance(found, Response):
                    return found
                if _is_compressible(head, found):
                    return self._compress(call, found, started)
                answer = _finish(head, found)
        except Exception as error:  # noqa: BLE001 - a worker's edge: one request must not end the server
            return self._failed(head, plan, error, started, call)
        plan.metric.observe(200, perf_counter() - started)
        return answer

    async def _wait(self, call: Call, result: Awaitable[Any], started: float) -> bytes:
        head = call.http.head
        try:
            found = await result
            encoded = self._encode(call, found)
            assert isinstance(encoded, Response)
            if _is_compressible(head, encoded):
                return await self._compress(call, encoded, started)
            call.plan.metric.observe(encoded.status, perf_counter() - started)
            return _finish(head, encoded)
        except Exception as error:  # noqa: BLE001 - a worker's edge
            return self._failed(head, call.plan, error, started, call)

    def _plan(self, head: Head) -> Plan:
        headers = head.headers
        key = (
            head.method, head.path, head.query, headers.get("accept"), headers.get("content-type"),
            headers.get("user-agent"),
        )  # fmt: skip
        known = self._plans.get(key)
        if known is not None:
            return known
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        plan = self._plans[key] = self._new_plan(head)
        return plan

    def _new_plan(self, head: Head) -> Plan:
        plan = self._pipeline.router.plan(head)
        info = plan.info
        if not info.is_resource:
            scope = ""
        elif info.name:
            scope = "resource"
        else:
            scope = "namespace" if info.namespace else "cluster"
        known = info.is_resource and plan.error is None
        plan.metric = self._metrics.request(
            info.verb if known else head.method, info.group if known else "", info.version if known else "",
            info.resource if known else "", info.subresource if known else "", scope if known else "",
        )  # fmt: skip
        return plan

    # -- encoding

    def _encode_outcome(self, call: Call, result: Outcome, started: float) -> bytes | Awaitable[bytes]:
        plan = call.plan
        entry = result.entry
        if (
            entry is not None
            and result.status == 200
            and plan.accepted is negotiate.PLAIN_JSON
            and not plan.pretty
            and not call.warnings
            and not call.registry.converts
        ):
            wire = entry.wire
            if len(wire) < _COMPRESS_FROM or "gzip" not in call.headers.get("accept-encoding", ""):
                return response.json_ok(wire)
        found = self._encode(call, result)
        assert isinstance(found, Response)
        if _is_compressible(call.http.head, found):
            return self._compress(call, found, started)
        return _finish(call.http.head, found)

    def _encode(self, call: Call, result: Any) -> Response | Stream:
        plan = call.plan
        if isinstance(result, Outcome):
            found = encode.outcome(plan.registry, result, plan.accepted, pretty=plan.pretty, include=plan.include)
        elif isinstance(result, ListResult):
            found = encode.listing(
                result.registry, result.listing, plan.accepted, pretty=plan.pretty, include=plan.include
            )
        elif isinstance(result, WatchRequest):
            negotiate.check_stream(plan.accepted)
            return watches.stream_for(result, plan.accepted, plan.include, call)
        else:
            found = result
            if not isinstance(found, Response):
                stream: Stream = found
                return stream
        if call.warnings:
            found.headers = [*found.headers, *encode.warning_headers(call.warnings)]
        return found

    async def _compress(self, call: Call, answer: Response, started: float) -> bytes:
        """Compress in a thread: zlib releases the interpreter, and long lists take a while."""
        import asyncio  # noqa: PLC0415 - start-up time
        import gzip  # noqa: PLC0415

        answer.body = await asyncio.to_thread(gzip.compress, answer.body, 1)
        answer.headers = [*answer.headers, (b"Content-Encoding", b"gzip"), (b"Vary", b"Accept-Encoding")]
        call.plan.metric.observe(answer.status, perf_counter() - started)
        return _finish(call.http.head, answer)

    def _failed(self, head: Head, plan: Plan | None, error: Exception, started: float, call: Call | None) -> bytes:
        if isinstance(error, APIStatusError):
            status = error
        elif isinstance(error, RecursionError):
            status = errors.BadRequest("exceeded max depth")
        else:
            log.exception("Request failed", method=head.method, path=head.path)  # noqa: LOG004 - both callers handle one
            status = errors.internal(error)
        if plan is not None and plan.metric is not None:
            plan.metric.observe(status.code, perf_counter() - started)
        accepted = negotiate.negotiate_or_json(head.headers.get("accept", ""))
        answer = encode.status_error(status, accepted, pretty=plan is not None and plan.pretty)
        if call is not None and call.warnings:
            answer.headers = [*answer.headers, *encode.warning_headers(call.warnings)]
        return answer.encode(head_only=head.method == "HEAD", close=not head.keep_alive)


def _check(plan: Plan, request: HTTPRequest) -> None:
    """Raise what stood against the request before anybody knew whether its user may know."""
    if plan.error is not None:
        raise plan.error
    if request.too_large:
        raise RequestEntityTooLarge(f"Request entity too large: {http_connection.TOO_LARGE}")


def _is_compressible(head: Head, answer: Response) -> bool:
    """Whether an answer is long enough, not compressed yet, and its client takes gzip."""
    if len(answer.body) < _COMPRESS_FROM or "gzip" not in head.headers.get("accept-encoding", ""):
        return False
    return all(name != b"Content-Encoding" for name, _ in answer.headers)


def _finish(head: Head, answer: Response) -> bytes:
    return answer.encode(head_only=head.method == "HEAD", close=not head.keep_alive)
