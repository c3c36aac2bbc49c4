"""The aggregator: follows APIServices, judges those that a service serves, routes and announces what they serve.

Behaviour: k8s.io/kube-aggregator. APIServices without a service are served here and always available.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import times
from sampan.api.errors import APIStatusError
from sampan.api.gvk import GroupVersionKind, ResourceInfo, SubresourceInfo
from sampan.apiserver.aggregation.availability import Verdict, judge
from sampan.apiserver.aggregation.proxy import Forward
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.discovery import DynamicVersion
from sampan.apiserver.outbound import Target
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Write
from sampan.apiserver.storage.resourcestore import Selection
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.object import Object
    from sampan.apiserver.credentials import Credentials
    from sampan.apiserver.discovery import Discovery
    from sampan.apiserver.outbound import Outbound
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Batch
    from sampan.base.clock import Clock

log = logger("apiserver.aggregation")

GROUP = "apiregistration.k8s.io"
_USER = User("system:kube-aggregator", groups=(MASTERS,)).authenticated()
_CONFIG = ("kube-system", "extension-apiserver-authentication")
_AGAIN_SECONDS = 30.0
_RETRY_SECONDS = 2.0
Key = tuple[str, str]


class _Served:
    """One group-version that a service serves. service: its APIService's spec."""

    __slots__ = ("available", "handler", "name", "resources", "spec")

    def __init__(self, name: str, spec: Object) -> None:
        self.name = name
        self.spec = spec
        self.available = False
        self.resources: tuple[ResourceInfo, ...] = ()
        self.handler: Forward | None = None


class Aggregator:
    """See the module. A sink of the watches on what availability depends on."""

    def __init__(
        self, resources: Resources, discovery: Discovery, outbound: Outbound, credentials: Credentials, clock: Clock
    ) -> None:
        self._resources = resources
        self._discovery = discovery
        self._outbound = outbound
        self._credentials = credentials
        self._clock = clock
        self._served: dict[Key, _Served] = {}
        self._wake = asyncio.Event()
        self._broken: set[str] = set()
        self._pair: tuple[bytes, bytes] = (b"", b"")

    def begin(self) -> None:
        """Follow APIServices; services and endpoints only where one is used."""
        self._follow(GROUP, "apiservices")
        self._read()

    def handler(self, group: str, version: str) -> Callable[[Any], Any] | None:
        """Who answers requests on a group-version; None when it is not an aggregated one."""
        found = self._served.get((group, version))
        return None if found is None else found.handler

    # -- watching

    def _follow(self, group: str, resource: str) -> None:
        store = self._resources.store_of(group, resource)
        store.watch(Selection(), _Sink(self, group, resource), after=store.revision)

    def changed(self, group: str, resource: str, *, broken: bool) -> None:
        """What availability depends on has changed. broken: and the watch is over."""
        if broken:
            self._follow(group, resource)
        if resource == "apiservices":
            self._read()
        if self._served:
            self._wake.set()

    def _read(self) -> None:
        """Bring the table of served group-versions in line with the APIServices."""
        wanted = {
            (one["spec"].get("group", ""), one["spec"].get("version", "")): one
            for one in self._resources.objects(GROUP, "apiservices", "")
            if one.get("spec", {}).get("service") is not None
        }
        if wanted and not self._pair[0]:
            self._prepare()
        for key in [key for key in self._served if key not in wanted]:
            del self._served[key]
            self._discovery.remove(*key)
            self._resources.epoch += 1
        for key, obj in wanted.items():
            known, name = self._served.get(key), obj["metadata"]["name"]
            if known is None or known.spec != obj["spec"]:
                self._serve(key, _Served(name, obj["spec"]))

    def _prepare(self) -> None:
        """Somebody wants aggregation for the first time."""
        pair = self._credentials.front_proxy()
        self._pair = (pair.certificate, pair.key)
        self._follow("", "services")
        self._follow("discovery.k8s.io", "endpointslices")

    def _serve(self, key: Key, served: _Served) -> None:
        def target() -> Target | None:
            return self._target(served.spec) if served.available else None

        served.handler = Forward(self._outbound, target, self._resources.lookup)
        self._served[key] = served
        self._announce(key, served)
        self._resources.epoch += 1
        self._wake.set()

    def _target(self, spec: Object) -> Target:
        """Where a service is now. Raises ResolveError."""
        service = spec["service"]
        name, namespace = service.get("name", ""), service.get("namespace", "")
        address, port = self._outbound.resolve(namespace, name, service.get("port") or 443)
        host = f"{name}.{namespace}.svc"
        return Target(
            authority=host, address=address, port=port, server_name=host, ca=b64decode(spec.get("caBundle") or ""),
            insecure=bool(spec.get("insecureSkipTLSVerify")), certificate=self._pair[0], key=self._pair[1],
        )  # fmt: skip

    # -- judging

    async def run(self) -> None:
        """Judge what is served until cancelled."""
        await self._publish()
        while True:
            self._wake.clear()
            pending = False
            for key, served in list(self._served.items()):
                await self._judge(key, served)
                pending = pending or not served.available
            await self._rest(_RETRY_SECONDS if pending else _AGAIN_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """Sleep until something changes; with nothing to judge, for ever."""
        if not self._served:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _judge(self, key: Key, served: _Served) -> None:
        lookup, objects = self._resources.lookup, self._resources.objects
        verdict = await judge(served.spec, self._outbound, lambda: self._target(served.spec), lookup, objects)
        if self._served.get(key) is not served:
            return
        resources = _resources_of(key, verdict.body) if verdict.available else served.resources
        if (served.available, served.resources) != (verdict.available, resources):
            served.available, served.resources = verdict.available, resources
            self._announce(key, served)
            self._resources.epoch += 1
        try:
            await self._write(served.name, verdict)
        except APIStatusError as error:  # the next round tries again
            log.debug("Writing an APIService's condition failed", apiservice=served.name, error=str(error))

    def _announce(self, key: Key, served: _Served) -> None:
        self._discovery.put(
            DynamicVersion(
                group=key[0], version=key[1], resources=served.resources,
                priority=served.spec.get("groupPriorityMinimum") or 1000,
                freshness="Current" if served.available else "Stale",
            )
        )  # fmt: skip

    async def _write(self, name: str, verdict: Verdict) -> None:
        registry = self._resources.preferred(GROUP, "apiservices")
        assert registry is not None
        entry = registry.store.get("", name)
        if entry is None or not _differs(entry.object, verdict):
            return
        write = Write(user=_USER, namespace="", name=name, subresource="status", manager="kube-apiserver")

        async def transform(old: Object | None, current: Entry | None) -> Object:
            assert current is not None
            assert old is not None
            obj = registry.mutable(current)
            _set_condition(obj, verdict, times.format_time(self._clock.time()))
            ownership.updated(registry, write, obj, old)
            return obj

        await registry.update(write, transform)

    # -- what aggregated servers read

    async def _publish(self) -> None:
        """Tell extension servers whom to trust, in the ConfigMap that they read when they start."""
        registry = self._resources.preferred("", "configmaps")
        assert registry is not None
        wanted = {
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-client-ca-file": self._credentials.front_proxy_ca.decode(),
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
            "requestheader-username-headers": '["X-Remote-User"]',
        }
        entry = registry.store.get(*_CONFIG)
        if entry is None or (entry.object.get("data") or {}).items() >= wanted.items():
            return
        await self._update_config(registry, wanted)

    async def _update_config(self, registry: Registry, wanted: dict[str, str]) -> None:
        write = Write(user=_USER, namespace=_CONFIG[0], name=_CONFIG[1], manager="kube-apiserver")

        async def transform(old: Object | None, current: Entry | None) -> Object:
            assert current is not None
            assert old is not None
            obj = registry.mutable(current)
            obj["data"] = {**(obj.get("data") or {}), **wanted}
            ownership.updated(registry, write, obj, old)
            return obj

        try:
            await registry.update(write, transform)
        except APIStatusError as error:
            log.warning("Publishing the front proxy's CA failed", error=str(error))


class _Sink:
    """A watch of the aggregator's."""

    def __init__(self, aggregator: Aggregator, group: str, resource: str) -> None:
        self._aggregator = aggregator
        self._group = group
        self._resource = resource

    def events(self, batch: Batch) -> None:
        del batch
        self._aggregator.changed(self._group, self._resource, broken=False)

    def progress(self, revision: int) -> None:
        """Nothing is remembered of how far the watch is: it begins anew when it breaks."""

    def expired(self) -> None:
        self._aggregator.changed(self._group, self._resource, broken=True)


def _differs(obj: Object, verdict: Verdict) -> bool:
    conditions: Iterable[Object] = (obj.get("status") or {}).get("conditions") or ()
    known = next((one for one in conditions if one.get("type") == "Available"), None)
    wanted = ("True" if verdict.available else "False", verdict.reason, verdict.message)
    return known is None or (known.get("status"), known.get("reason"), known.get("message")) != wanted


def _set_condition(obj: Object, verdict: Verdict, now: str) -> None:
    status = obj.setdefault("status", {})
    conditions: list[Object] = status.get("conditions") or []
    wanted = "True" if verdict.available else "False"
    known = next((one for one in conditions if one.get("type") == "Available"), None)
    since = known["lastTransitionTime"] if known is not None and known.get("status") == wanted else now
    condition = {
        "type": "Available", "status": wanted, "lastTransitionTime": since, "reason": verdict.reason,
        "message": verdict.message,
    }  # fmt: skip
    status["conditions"] = [one for one in conditions if one.get("type") != "Available"] + [condition]


def _resources_of(key: Key, body: bytes) -> tuple[ResourceInfo, ...]:
    """Read an APIResourceList; one that makes no sense is an empty one."""
    try:
        listed: Any = orjson.loads(body)
        entries: list[Object] = [one for one in listed.get("resources") or () if isinstance(one, dict)]
    except (orjson.JSONDecodeError, AttributeError):
        return ()
    group, version = key
    found: dict[str, ResourceInfo] = {}
    for one in entries:
        name, kind = str(one.get("name", "")), str(one.get("kind", ""))
        if "/" not in name:
            found[name] = ResourceInfo(
                group=group, version=version, resource=name, singular=one.get("singularName") or "", kind=kind,
                namespaced=bool(one.get("namespaced")), verbs=tuple(one.get("verbs") or ()),
                short_names=tuple(one.get("shortNames") or ()), categories=tuple(one.get("categories") or ()),
                storage_version_hash=one.get("storageVersionHash") or "",
            )  # fmt: skip
    for one in entries:
        parent, slash, sub = str(one.get("name", "")).partition("/")
        if slash and parent in found:
            gvk = GroupVersionKind(one.get("group") or group, one.get("version") or version, one.get("kind") or "")
            verbs = tuple(one.get("verbs") or ())
            found[parent].subresources[sub] = SubresourceInfo(name=sub, kind=gvk, verbs=verbs)
    return tuple(found.values())
