"""One call of a webhook: address, TLS, time limit, answer; and which failures its policy forgives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from sampan.api import errors
from sampan.api.errors import APIStatusError, BadRequest
from sampan.api.field import go_quote
from sampan.apiserver.admission.webhooks import review
from sampan.apiserver.outbound import Outbound, ResolveError, Target, go_error, unstructured_error
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.hooks import Hook
    from sampan.apiserver.admission.webhooks.matching import Invocation
    from sampan.apiserver.admission.webhooks.review import Verdict

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_LARGEST = 10 * 1024 * 1024


class CallError(SampanError):
    """A webhook could not be asked, or answered nonsense; its failure policy says what that means."""

    def __init__(self, hook: Hook, reason: str) -> None:
        super().__init__(f"failed calling webhook {go_quote(hook.name)}: {reason}")


async def call(
    outbound: Outbound, invocation: Invocation, request: AdmissionRequest, obj: Object | None, old: Object | None,
    *, mutating: bool,
) -> Verdict:  # fmt: skip
    """Ask a webhook. Raises CallError, and BadRequest for a dry run that it cannot take."""
    hook = invocation.hook
    if request.dry_run:
        if not hook.side_effects:
            raise CallError(hook, "Webhook SideEffects is nil")
        if hook.side_effects not in ("None", "NoneOnDryRun"):
            raise BadRequest(f"admission webhook {go_quote(hook.name)} does not support dry run")
    version = next((one for one in hook.versions if one in review.SUPPORTED), "")
    if not version:
        reason = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
        raise CallError(hook, f"could not create admission objects: {reason}")
    uid = review.new_uid()
    body = review.build(invocation, request, uid, version, obj, old)
    answer = await _post(outbound, hook, body)
    try:
        return review.parse(answer, uid, version, mutating=mutating)
    except review.ReviewError as error:
        raise CallError(hook, f"received invalid webhook response: {error}") from error


async def _post(outbound: Outbound, hook: Hook, body: bytes) -> bytes:
    client = hook.client
    service = client.get("service")
    shown, path, query = _url(client, hook)
    target: Target | None = None
    try:
        async with asyncio.timeout(hook.timeout):
            if service is not None:
                port = service.get("port") or 443
                name = f"{service['name']}.{service['namespace']}.svc"
                address, number = outbound.resolve(service["namespace"], service["name"], port)
                target = Target(authority=f"{name}:{port}", address=address, port=number, server_name=name, ca=hook.ca)
            else:
                target = _url_target(client["url"], hook)
            answer = await outbound.client(target).request(
                "POST", path, headers=_HEADERS, body=body, query=(*query, ("timeout", f"{hook.timeout}s"))
            )
    except ResolveError as error:
        raise _failed(hook, shown, str(error)) from error
    except (OSError, TimeoutError) as error:
        raise _failed(hook, shown, go_error(error, target)) from error
    except SampanError as error:  # a CA bundle that is none
        raise CallError(hook, f"could not get REST client: {error}") from error
    if not 200 <= answer.status < 300:
        raise CallError(hook, f"failed to call webhook: {_status_text(answer.status, answer.body)}")
    if len(answer.body) > _LARGEST:
        raise CallError(hook, f"failed to call webhook: limit of {_LARGEST} bytes exceeded")
    return answer.body


def _failed(hook: Hook, shown: str, why: str) -> CallError:
    return CallError(hook, f"failed to call webhook: Post {go_quote(shown)}: {why}")


def _url(client: Object, hook: Hook) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """The URL as errors show it, its path and its query."""
    service = client.get("service")
    if service is not None:
        path = "/" + (service.get("path") or "").lstrip("/")
        base = f"https://{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}{path}"
        return f"{base}?timeout={hook.timeout}s", path, ()
    parts = urlsplit(client.get("url") or "")
    pairs = tuple((key, value) for key, _, value in (one.partition("=") for one in parts.query.split("&") if one))
    more = "&" if parts.query else "?"
    return f"{client.get('url')}{more}timeout={hook.timeout}s", parts.path or "/", pairs


def _url_target(url: str, hook: Hook) -> Target:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return Target(authority=parts.netloc, address=host, port=parts.port or 443, server_name=host, ca=hook.ca)


def _status_text(code: int, body: bytes) -> str:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("message"):
        return str(status["message"])
    return unstructured_error(code, body)


def refusal(error: CallError) -> APIStatusError:
    """What a failed call comes to when the policy is Fail."""
    return errors.internal(error)
