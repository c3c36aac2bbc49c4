"""Which custom resources are served: follows the definitions, and keeps routes, discovery and OpenAPI in step.

A definition is served from the moment it is established. Nothing of it is compiled before somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.apiextensions.definition import Definition
from sampan.apiserver.apiextensions.documents import VersionDocuments
from sampan.apiserver.discovery import DynamicVersion

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.apiextensions.registry import CustomResourceRegistry
    from sampan.apiserver.apiextensions.version import ServedVersion
    from sampan.apiserver.discovery import Discovery
    from sampan.apiserver.openapi import OpenAPI
    from sampan.apiserver.registry.resources import Resources


class Serving:
    """The custom resources of one server."""

    def __init__(self, resources: Resources, discovery: Discovery, openapi: OpenAPI) -> None:
        self._resources = resources
        self._discovery = discovery
        self._openapi = openapi
        self._definitions: dict[str, Definition] = {}
        self._by_version: dict[tuple[str, str], dict[str, ServedVersion]] = {}

    def __iter__(self) -> object:
        return iter(self._definitions.values())

    def get(self, name: str) -> Definition | None:
        """A served definition by name."""
        return self._definitions.get(name)

    def put(self, obj: Object) -> None:
        """Take a definition as it is now."""
        name = obj["metadata"]["name"]
        known = self._definitions.get(name)
        new = Definition(obj)
        if not new.established:
            self.remove(name)
            return
        if known is not None and not new.differs(known):
            return
        changed = self._forget(name) if known is not None else set()
        self._definitions[name] = new
        for version in new.served:
            key = (version.group, version.name, version.info.resource)
            self._resources.install(version.info, self._maker(new, version), version.warning)
            self._by_version.setdefault(key[:2], {})[key[2]] = version
            changed.add(key[:2])
        self._publish(changed)

    def remove(self, name: str) -> None:
        """Serve a definition no more."""
        self._publish(self._forget(name))

    def _forget(self, name: str) -> set[tuple[str, str]]:
        known = self._definitions.pop(name, None)
        changed: set[tuple[str, str]] = set()
        for version in known.served if known is not None else ():
            key = (version.group, version.name, version.info.resource)
            self._resources.uninstall(key)
            self._by_version.get(key[:2], {}).pop(key[2], None)
            changed.add(key[:2])
        return changed

    def _publish(self, changed: set[tuple[str, str]]) -> None:
        for group, version in changed:
            found = self._by_version.get((group, version))
            path = f"apis/{group}/{version}"
            if not found:
                self._by_version.pop((group, version), None)
                self._discovery.remove(group, version)
                self._openapi.remove(path)
                continue
            infos = [one.info for one in found.values()]
            self._discovery.put(DynamicVersion(group=group, version=version, resources=infos))
            self._openapi.put(path, VersionDocuments(group, version, list(found.values()), self._openapi))  # type: ignore[arg-type]

    def _maker(self, definition: Definition, version: ServedVersion):  # type: ignore[no-untyped-def]  # noqa: ANN202
        def make() -> CustomResourceRegistry:
            from sampan.apiserver.apiextensions.registry import CustomResourceRegistry  # noqa: PLC0415 - start-up time
            from sampan.apiserver.apiextensions.strategy import CustomResourceStrategy  # noqa: PLC0415

            store = self._resources.raw_store(version.group, version.info.resource)
            store.select_by(CustomResourceStrategy(definition.storage).selectable_fields)
            admission, environment = self._resources.services()
            return CustomResourceRegistry(definition, version, store, admission, environment)

        return make

    def registry_for(self, definition: Definition) -> CustomResourceRegistry:
        """A registry of the storage version, served or not."""
        return self._maker(definition, definition.storage)()  # type: ignore[no-any-return]
