"""Calls to an etcd cluster: endpoints with failover, TLS, authentication, errors.

The only module that speaks gRPC to etcd; the messages are those of the `aetcd` package. A call goes to one member until
that one cannot be reached; then the next is tried. A write that may have been sent is never sent again: whether it
happened is not known, and the caller is told so (StoreUnavailableError).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import grpc  # type: ignore[import-untyped]
from aetcd import rpc  # type: ignore[import-untyped]

from sampan.apiserver.storage.interface import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEFAULT_PORT = 2379
_CALL_SECONDS = 5.0
"""Deadline of one call: above etcd's own time for a leader election, below what a client waits."""

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A member that comes back is tried again after a second at most, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
_NEEDS_LEADER = ("hasleader", "true")
"""A member cut off from its cluster refuses such calls and ends such watches, instead of answering from the past."""

COMPACTED = "required revision has been compacted"
FUTURE = "required revision is a future revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """Where an etcd cluster is. endpoints: ``host:port``. ca, certificate, key: PEM; a ca or certificate means TLS."""

    endpoints: tuple[str, ...]
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    username: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str, read: Any) -> EtcdOptions:
        """Read ``etcd://[user[:password]@]host[:port][,host[:port]...][?ca=FILE&cert=FILE&key=FILE&password-file=FILE]``.

        read: gives the bytes of a file by its name. Raises ValueError, OSError.
        """
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        if parts.scheme != "etcd" or not hosts:
            raise ValueError(f"{url!r} is no etcd://host:port[,host:port...]")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        files = {name: read(query[name]) if name in query else None for name in ("ca", "cert", "key", "password-file")}
        user, _, password = login.partition(":")
        if files["password-file"] is not None:
            password = files["password-file"].decode().strip()
        endpoints = tuple(host if ":" in host else f"{host}:{DEFAULT_PORT}" for host in hosts.split(","))
        return cls(
            endpoints=endpoints, ca=files["ca"], certificate=files["cert"], key=files["key"], username=user,
            password=password,
        )  # fmt: skip


class EtcdClient:
    """One cluster."""

    def __init__(self, options: EtcdOptions) -> None:
        self._options = options
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._current = 0
        self._token = ""
        self._watches: set[Any] = set()
        self._closing = False

    async def close(self) -> None:
        """End the watches, and let calls under way end."""
        self._closing = True
        for watch in list(self._watches):
            watch.cancel()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close(grace=_CALL_SECONDS)

    async def call(self, service: type[Any], method: str, request: Any) -> Any:
        """Make one call, at another member if this one cannot be reached. Raises StoreUnavailableError, RpcError."""
        failure: grpc.aio.AioRpcError | None = None
        for _ in range(len(self._options.endpoints) + 1):
            stub = getattr(service(self._channel()), method)
            try:
                return await stub(request, timeout=_CALL_SECONDS, metadata=self._metadata())
            except grpc.aio.AioRpcError as error:
                failure = error
                if error.code() is grpc.StatusCode.UNAUTHENTICATED and self._options.username:
                    await self.authenticate()
                elif error.code() in _ELSEWHERE:
                    self._next()
                    if not _was_not_sent(error):
                        break
                else:
                    raise
        assert failure is not None
        raise self.unavailable(failure) from failure

    async def authenticate(self) -> None:
        """Log in, when there is a user."""
        if not self._options.username:
            return
        request = rpc.AuthenticateRequest(name=self._options.username, password=self._options.password)
        try:
            answer = await rpc.AuthStub(self._channel()).Authenticate(request, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _ELSEWHERE:
                self._next()
                raise self.unavailable(error) from error
            raise StoreUnavailableError(f"etcd refuses the user {self._options.username}: {error.details()}") from error
        self._token = answer.token

    @asynccontextmanager
    async def watch(self, create: Any) -> AsyncIterator[Any]:
        """Open a watch by a WatchCreateRequest; its answers are iterated over. `close` ends the body.

        Raises StoreUnavailableError when the stream breaks.
        """
        ended = asyncio.Event()

        async def requests() -> AsyncIterator[Any]:
            yield rpc.WatchRequest(create_request=create)
            await ended.wait()  # a half-closed stream would be the end of the watch

        call = rpc.WatchStub(self._channel()).Watch(requests(), metadata=self._metadata())
        self._watches.add(call)
        try:
            yield call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closing or (task is not None and task.cancelling()):
                raise
        except grpc.aio.AioRpcError as error:
            self._next()
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                await self.authenticate()
            raise self.unavailable(error) from error
        finally:
            ended.set()
            self._watches.discard(call)
            call.cancel()

    def unavailable(self, error: grpc.aio.AioRpcError) -> StoreUnavailableError:
        """Describe a call that found no answer."""
        where = ", ".join(self._options.endpoints)
        return StoreUnavailableError(
            f"etcd at {where} does not answer ({error.details()}): check that a majority of its members runs and "
            f"can be reached; whether a write under way happened is not known"
        )

    def _channel(self) -> grpc.aio.Channel:
        endpoint = self._options.endpoints[self._current]
        channel = self._channels.get(endpoint)
        if channel is None:
            channel = self._channels[endpoint] = self._open(endpoint)
        return channel

    def _open(self, endpoint: str) -> grpc.aio.Channel:
        options = self._options
        if options.ca is None and options.certificate is None:
            return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(options.ca, options.key, options.certificate)
        return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)

    def _next(self) -> None:
        self._current = (self._current + 1) % len(self._options.endpoints)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (_NEEDS_LEADER, ("token", self._token)) if self._token else (_NEEDS_LEADER,)


_ELSEWHERE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
"""Codes after which another member may answer."""


def _was_not_sent(error: grpc.aio.AioRpcError) -> bool:
    """Whether the request certainly reached no member: no connection, or a member that says it has no leader."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return False
    details = (error.details() or "").lower()
    return "failed to connect" in details or "no leader" in details
