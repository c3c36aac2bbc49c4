"""The service with an audit log around it: records requests as the policy says, at the stages that Kubernetes has.

It wraps the plain service, so that a server without a policy pays nothing. Behaviour: k8s.io/apiserver/pkg/endpoints/
filters/audit.go; events are audit.k8s.io/v1.
"""

from __future__ import annotations

import gzip
import re
import time
import uuid
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

import orjson
import yaml

from sampan.api.errors import APIStatusError
from sampan.apiserver import auditing, requestinfo
from sampan.apiserver.authn import impersonation
from sampan.apiserver.authn.user import ANONYMOUS_USER

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sampan.api.object import Object
    from sampan.apiserver.audit.log import AuditLog
    from sampan.apiserver.audit.policy import Decision, Policy
    from sampan.apiserver.http.connection import Connection, HTTPRequest, Stream
    from sampan.apiserver.http.head import Head
    from sampan.apiserver.pipeline import HTTPService, Pipeline
    from sampan.apiserver.requestinfo import RequestInfo

_METADATA, _REQUEST, _RESPONSE = 1, 2, 3
_LEVEL = ("None", "Metadata", "Request", "RequestResponse")
_AUDIT_ID = re.compile(rb"Audit-Id: [^\r]*\r\n")
_LONGEST_AGENT = 1024


class AuditedService:
    """See the module."""

    def __init__(self, service: HTTPService, pipeline: Pipeline, policy: Policy, log: AuditLog) -> None:
        self._service = service
        self._pipeline = pipeline
        self._policy = policy
        self._log = log

    def knows(self, head: Head, connection: Connection) -> bool:
        """See `HTTPService.knows`."""
        return self._service.knows(head, connection)

    def serve(self, request: HTTPRequest) -> bytes | Awaitable[bytes] | Stream:
        """Serve and record."""
        record = self._record(request)
        if record is None:
            return self._service.serve(request)
        record.stage("RequestReceived")
        token = auditing.CURRENT.set(record.annotations)
        try:
            result = self._service.serve(request)
        finally:
            auditing.CURRENT.reset(token)
        if isinstance(result, bytes):
            return record.finish(result)
        if isawaitable(result):
            return self._wait(record, result)
        return _AuditedStream(result, record)

    @staticmethod
    async def _wait(record: _Record, result: Awaitable[bytes]) -> bytes:
        auditing.CURRENT.set(record.annotations)  # of this task: the request's own
        return record.finish(await result)

    def _record(self, request: HTTPRequest) -> _Record | None:
        head = request.head
        query = requestinfo.parse_query(head.query)
        info = requestinfo.parse(head.method, head.path, query)
        try:
            user = self._pipeline.authenticator.authenticate(head, request.connection)
        except APIStatusError:
            user = ANONYMOUS_USER
        decision = self._policy.decide(info, user)
        if not decision.level:
            return None
        event: Object = {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": _LEVEL[decision.level],
            "auditID": head.headers.get("audit-id") or str(uuid.uuid4()), "stage": "",
            "requestURI": f"{head.path}?{head.query}" if head.query else head.path, "verb": info.verb,
            "user": user.info,
        }  # fmt: skip
        if impersonation.is_asked_for(head.headers):
            try:
                other = impersonation.impersonate(user, head.headers, self._pipeline.authorizer)
                event["impersonatedUser"] = other.info
            except APIStatusError:
                pass  # the answer says so
        event["sourceIPs"] = _addresses(head, request.connection)
        if agent := head.headers.get("user-agent", ""):
            event["userAgent"] = agent[:_LONGEST_AGENT]
        if info.is_resource:
            event["objectRef"] = _reference(info)
        return _Record(self._log, event, decision, request)


class _Record:
    """One request's events."""

    def __init__(self, log: AuditLog, event: Object, decision: Decision, request: HTTPRequest) -> None:
        self._log = log
        self._event = event
        self._decision = decision
        self._request = request
        self.annotations: dict[str, str] = {}
        event["requestReceivedTimestamp"] = _now()

    @property
    def is_upgrade(self) -> bool:
        return self._request.upgrade

    def stage(self, name: str, **more: Any) -> None:
        """Write the event of a stage, if the policy wants it."""
        self._event.update(more)
        if name in self._decision.omitted:
            return
        event = {**self._event, "stage": name, "stageTimestamp": _now()}
        if self.annotations:
            event["annotations"] = dict(self.annotations)
        self._log.write(event)

    def finish(self, answer: bytes) -> bytes:
        """Record a complete answer, and give it the event's id."""
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12])
        self.annotations.setdefault(
            "authorization.k8s.io/decision", "forbid" if self._is_forbidden(status) else "allow"
        )
        self.annotations.setdefault("authorization.k8s.io/reason", "")
        more: Object = {"responseStatus": {"metadata": {}, "code": status}}
        parsed = _decode(body, head) if status >= 400 or self._decision.level >= _RESPONSE else None
        if status >= 400 and isinstance(parsed, dict) and parsed.get("kind") == "Status":
            kept = {key: parsed[key] for key in ("status", "message", "reason", "details") if key in parsed}
            more["responseStatus"] = {"metadata": {}, **kept, "code": status}
        if (
            self._decision.level >= _REQUEST
            and self._request.body
            and (sent := _decode(self._request.body, b"")) is not None
        ):
            more["requestObject"] = self._pruned(sent)
        if self._decision.level >= _RESPONSE and parsed is not None:
            more["responseObject"] = self._pruned(parsed)
        self._complete_reference(more)
        self.stage("ResponseComplete", **more)
        return _AUDIT_ID.sub(b"Audit-Id: %b\r\n" % self._event["auditID"].encode("latin-1", "replace"), answer, count=1)

    def _is_forbidden(self, status: int) -> bool:
        plan = self._request.head.plan
        return status == 403 and (plan is None or plan.granted_to is None)

    def _complete_reference(self, more: Object) -> None:
        """A creation's name is known from its body."""
        reference, sent = self._event.get("objectRef"), more.get("requestObject")
        if reference is not None and "name" not in reference and isinstance(sent, dict):
            name = (sent.get("metadata") or {}).get("name")
            if name:
                self._event["objectRef"] = {**reference, "name": name}

    def _pruned(self, value: Any) -> Any:
        if self._decision.omits_managed_fields and isinstance(value, dict):
            for one in (value, *(value.get("items") or ())):
                if isinstance(one, dict) and isinstance(one.get("metadata"), dict):
                    one["metadata"].pop("managedFields", None)
        return value


class _AuditedStream:
    """A stream whose beginning and end are recorded."""

    def __init__(self, stream: Stream, record: _Record) -> None:
        self._stream = stream
        self._record = record
        self._ended = False

    def begin(self, connection: Connection) -> None:
        status: Object = {"metadata": {}, "code": 101 if self._record.is_upgrade else 200}
        self._record.annotations.setdefault("authorization.k8s.io/decision", "allow")
        self._record.stage("ResponseStarted", responseStatus=status)
        self._stream.begin(cast("Connection", _Watched(connection, self)))

    def resumed(self) -> None:
        self._stream.resumed()

    def lost(self) -> None:
        self._stream.lost()
        self.ended()

    def ended(self) -> None:
        """The stream's last byte is written, or its client is gone."""
        if not self._ended:
            self._ended = True
            self._record.stage("ResponseComplete")


class _Watched:
    """A connection that tells when its stream ends."""

    def __init__(self, connection: Connection, stream: _AuditedStream) -> None:
        self._connection = connection
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def finish(self) -> None:
        self._connection.finish()
        self._stream.ended()

    def done(self) -> None:
        self._connection.done()
        self._stream.ended()


def _now() -> str:
    now = time.time()  # the moment as clients' clocks have it, whatever clock the server runs on
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _addresses(head: Head, connection: Connection) -> list[str]:
    found = [one.strip() for one in head.headers.get("x-forwarded-for", "").split(",") if one.strip()]
    if real := head.headers.get("x-real-ip", ""):
        found.append(real)
    peer = connection.transport.get_extra_info("peername")
    if peer and peer[0] not in found:
        found.append(peer[0])
    return found


def _reference(info: RequestInfo) -> Object:
    pairs = (
        ("resource", info.resource), ("namespace", info.namespace), ("name", info.name), ("apiGroup", info.group),
        ("apiVersion", info.version), ("subresource", info.subresource),
    )  # fmt: skip
    return {key: value for key, value in pairs if value}


def _decode(body: bytes, head: bytes) -> Any:
    """A body as an object; None for what is neither JSON nor YAML."""
    try:
        if b"Content-Encoding: gzip" in head:
            body = gzip.decompress(body)
        return orjson.loads(body)
    except (orjson.JSONDecodeError, OSError, EOFError):
        pass
    if head or not body.isascii():
        return None
    try:
        found = yaml.safe_load(body)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None
