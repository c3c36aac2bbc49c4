"""The `etcd` backend: for several API servers on one store, none of which has a state of its own.

A write is one etcd transaction, conditional on the key's revision. The watch cache follows one watch on the root. For
a linearizable read it asks etcd for the newest revision and waits until the watch has come so far; since an etcd below
3.4.25 or 3.5.8 may report progress that its watches have not made, the question is a write to a key that the same watch
sees. Expiry is etcd's own (leases), compaction is agreed between the servers as kube-apiservers do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from aetcd import rpc  # type: ignore[import-untyped]

from sampan.apiserver.storage.etcdclient import COMPACTED, FUTURE, EtcdClient
from sampan.apiserver.storage.interface import (
    ROOT,
    Change,
    Changes,
    CompactedError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    Page,
    Record,
    RevisionConflictError,
    StoreUnavailableError,
)
from sampan.apiserver.storage.local import COMPACTION_PERIOD, prefix_end
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.apiserver.storage.etcdclient import EtcdOptions
    from sampan.base.clock import Clock

log = logger("storage")

_MARK = b"/registry.mark"
"""Written to see how far the watch is. Sorts right before the root, so one watch covers both, and no list shows it."""

_COMPACTION_KEY = b"compact_rev_key"
"""Where API servers agree on compactions: kube-apiserver's key, so that both kinds can share an etcd."""

_LEASE_SLACK = 60
"""Seconds that an expiry may be late, so that the keys of a minute share a lease (kube-apiserver's ``lease-reuse``)."""

_LEASE_KEYS = 1000
"""Keys on one lease: etcd deletes them in one go."""


class EtcdBackend:
    """An etcd cluster."""

    def __init__(self, options: EtcdOptions, clock: Clock) -> None:
        self._client = EtcdClient(options)
        self._clock = clock
        self._revision = 1
        self._leases: dict[int, tuple[int, float, int]] = {}
        self._asking = asyncio.Lock()
        self._asked = self._answered = self._answer = 0
        self._closed = False

    async def start(self) -> None:
        await self._client.authenticate()
        answer = await self._range(rpc.RangeRequest(key=_MARK, keys_only=True))
        self._revision = max(self._revision, answer.header.revision)

    async def close(self) -> None:
        self._closed = True
        await self._client.close()

    @property
    def revision(self) -> int:
        return self._revision

    async def latest(self) -> int:
        """Concurrent callers share an answer: one that was asked for after each of them came."""
        came = self._asked
        async with self._asking:
            if self._answered <= came:
                self._asked += 1
                put = rpc.PutRequest(key=_MARK, value=b"")
                number, answer = self._asked, await self._call(rpc.KVStub, "Put", put)
                self._answered, self._answer = number, self._seen(answer)
            return self._answer

    # Reading

    async def get(self, key: str) -> Record | None:
        answer = await self._range(rpc.RangeRequest(key=key.encode()))
        self._seen(answer)
        return _record(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        begin = max(prefix.encode(), after.encode() + b"\0") if after else prefix.encode()
        request = rpc.RangeRequest(key=begin, range_end=prefix_end(prefix).encode(), limit=limit, revision=revision)
        answer = await self._range(request)
        at = revision or self._seen(answer)
        return Page([_record(kv) for kv in answer.kvs], at, answer.more, answer.count - len(answer.kvs))

    async def _range(self, request: Any) -> Any:
        try:
            return await self._call(rpc.KVStub, "Range", request)
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if COMPACTED in details:
                raise CompactedError(request.revision, await self._oldest(request.revision)) from error
            if FUTURE in details:
                raise FutureRevisionError(request.revision, self._revision) from error
            raise _refused(error) from error

    async def _oldest(self, compacted: int) -> int:
        """Ask for the revision of the last compaction: only a refused watch tells it."""
        async with self._client.watch(rpc.WatchCreateRequest(key=_MARK, start_revision=compacted)) as stream:
            async for answer in stream:
                if answer.compact_revision or answer.events:
                    return int(answer.compact_revision)
        return compacted + 1

    # Writing

    async def create(self, key: str, value: bytes, *, ttl: int = 0) -> int:
        try:
            return await self._write(key, rpc.RequestOp(request_put=await self._put(key, value, ttl)), 0)
        except RevisionConflictError as error:
            raise KeyExistsError(key) from error

    async def update(self, key: str, value: bytes, *, expected: int, ttl: int = 0) -> int:
        return await self._write(key, rpc.RequestOp(request_put=await self._put(key, value, ttl)), expected)

    async def delete(self, key: str, *, expected: int) -> int:
        request = rpc.DeleteRangeRequest(key=key.encode())
        return await self._write(key, rpc.RequestOp(request_delete_range=request), expected)

    async def _write(self, key: str, operation: Any, expected: int) -> int:
        raw = key.encode()
        condition = rpc.Compare(key=raw, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=expected)
        look = rpc.RequestOp(request_range=rpc.RangeRequest(key=raw, keys_only=True))
        request = rpc.TxnRequest(compare=[condition], success=[operation], failure=[look])
        try:
            answer = await self._call(rpc.KVStub, "Txn", request)
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from error
        revision = self._seen(answer)
        if answer.succeeded:
            return revision
        found = answer.responses[0].response_range.kvs
        if not found:
            raise KeyNotFoundError(key)
        raise RevisionConflictError(key, expected, found[0].mod_revision)

    async def _put(self, key: str, value: bytes, ttl: int) -> Any:
        return rpc.PutRequest(key=key.encode(), value=value, lease=await self._lease(ttl) if ttl else 0)

    async def _lease(self, ttl: int) -> int:
        """Give a lease that ends a time to live from now, or a little later."""
        lease, until, left = self._leases.get(ttl, (0, 0.0, 0))
        now = self._clock.monotonic()
        if not left or now >= until:
            slack = min(_LEASE_SLACK, ttl // 20)
            answer = await self._call(rpc.LeaseStub, "LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl + slack))
            lease, until, left = answer.ID, now + slack, _LEASE_KEYS
        self._leases[ttl] = (lease, until, left - 1)
        return lease

    # Watching

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[Changes]:
        begin = _MARK if prefix == ROOT else prefix.encode()
        create = rpc.WatchCreateRequest(
            key=begin, range_end=prefix_end(prefix).encode(), start_revision=after + 1, progress_notify=True
        )
        async with self._client.watch(create) as stream:
            async for answer in stream:
                if answer.compact_revision:
                    raise CompactedError(after, answer.compact_revision)
                if answer.canceled:
                    raise StoreUnavailableError(f"etcd ended the watch: {answer.cancel_reason}")
                if (changes := self._changes(answer)) is not None:
                    yield changes

    def _changes(self, answer: Any) -> Changes | None:
        """Read one answer of a watch; None when it says nothing."""
        if not answer.events:
            return None if answer.created else Changes((), answer.header.revision)
        revision = answer.events[-1].kv.mod_revision
        self._revision = max(self._revision, revision)
        return Changes(
            (
                Change(kv.key.decode(), kv.mod_revision, None if event.type == rpc.Event.DELETE else kv.value)
                for event in answer.events
                if (kv := event.kv).key != _MARK
            ),
            revision,
        )

    # Chores

    async def run(self) -> None:
        """Take part in compactions until cancelled; whoever comes first in a period does it for all."""
        version, before = 0, 0
        while True:
            await self._clock.sleep(COMPACTION_PERIOD)
            try:
                version, before = await self._compact_in_turn(version, before)
            except StoreUnavailableError as error:
                log.warning("History was not compacted, trying again later", error=error)

    async def _compact_in_turn(self, version: int, before: int) -> tuple[int, int]:
        """Compact to the revision of the last period if nobody did since. Returns the agreement's version, revision."""
        target = rpc.Compare.VERSION
        mine = rpc.Compare(key=_COMPACTION_KEY, target=target, result=rpc.Compare.EQUAL, version=version)
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=_COMPACTION_KEY, value=str(self._revision).encode()))
        look = rpc.RequestOp(request_range=rpc.RangeRequest(key=_COMPACTION_KEY))
        answer = await self._call(rpc.KVStub, "Txn", rpc.TxnRequest(compare=[mine], success=[put], failure=[look]))
        revision = self._seen(answer)
        if not answer.succeeded:
            return answer.responses[0].response_range.kvs[0].version, revision
        if before:
            await self.compact(before)
        return version + 1, revision

    async def compact(self, revision: int) -> None:
        try:
            await self._call(rpc.KVStub, "Compact", rpc.CompactionRequest(revision=revision))
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if FUTURE in details:
                raise FutureRevisionError(revision, self._revision) from error
            if COMPACTED not in details:  # else another server has been here
                raise _refused(error) from error

    async def _call(self, service: type[Any], method: str, request: Any) -> Any:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        return await self._client.call(service, method, request)

    def _seen(self, answer: Any) -> int:
        revision: int = answer.header.revision
        self._revision = max(self._revision, revision)
        return revision


def _record(kv: Any) -> Record:
    return Record(kv.key.decode(), kv.value, kv.mod_revision)


def _refused(error: grpc.aio.AioRpcError) -> StoreUnavailableError:
    """Describe what etcd refuses: its database is full, the user may not, and the like."""
    details = error.details() or ""
    cure = ": defragment etcd, or raise its quota" if "database space exceeded" in details else ""
    return StoreUnavailableError(f"etcd refuses the request ({details}){cure}")
