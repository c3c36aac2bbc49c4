"""Which objects a command is about: types and names, ``type/name``, files, selectors; and how they are fetched.

kubectl's resource builder: ``pods``, ``pod a b``, ``pod/a svc/b``, ``pods,svc``, ``-f FILE``, ``-l``, ``-A``, ``all``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.api.gvk import GroupVersionKind
from sampan.kubectl.errors import KubectlError, SilentError, render_status_error
from sampan.kubectl.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.errors import APIStatusError
    from sampan.api.object import Object
    from sampan.kubectl.mapping import Mapper, Resource
    from sampan.kubectl.session import Session

FILE_FLAGS = (
    Flag(name="filename", short="f", kind="list", help="Files or directories to read; - for standard input."),
    Flag(name="recursive", short="R", kind="bool", help="Read directories below those given as well."),
)
SELECT_FLAGS = (
    Flag(name="selector", short="l", help="Label selector, e.g. -l key1=value1,key2!=value2."),
    Flag(name="field-selector", help="Field selector, e.g. --field-selector status.phase=Running."),
    Flag(name="all-namespaces", short="A", kind="bool", help="Look in all namespaces."),
)
_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One type, or one named object of it; obj: what a file said, for objects that came from one."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    obj: Object | None = None
    source: str = ""

    @property
    def shown(self) -> str:
        """``pod/x``: how success messages call it."""
        return f"{self.resource.qualified_singular}/{self.name}"

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name)


async def from_arguments(session: Session, arguments: list[str]) -> list[Target]:
    """Resolve positional arguments. Raises KubectlError with kubectl's texts; [] when there are none."""
    if not arguments:
        return []
    mapper = await session.mapper()
    if any("/" in one for one in arguments):
        return list(_slash_form(session, mapper, arguments))
    types = list(_types(mapper, arguments[0]))
    names = arguments[1:]
    if not names:
        return [Target(resource=one, namespace=_namespace(session, one)) for one in types]
    return [Target(resource=one, namespace=_namespace(session, one), name=name) for one in types for name in names]


def _namespace(session: Session, resource: Resource) -> str:
    if not resource.namespaced or session.values.get("all-namespaces"):
        return ""
    return session.namespace


def _types(mapper: Mapper, text: str) -> Iterator[Resource]:
    for part in text.split(","):
        if not part:
            continue
        members = mapper.category(part)
        if members:
            yield from members
        else:
            yield mapper.resource(part)


def _slash_form(session: Session, mapper: Mapper, arguments: list[str]) -> Iterator[Target]:
    for argument in arguments:
        type_, slash, name = argument.partition("/")
        if not slash:
            raise KubectlError(
                "there is no need to specify a resource type as a separate argument when passing arguments in "
                f"resource/name form (e.g. '{session.command.split()[0]} get resource/<resource_name>' instead of "
                f"'{session.command.split()[0]} get resource resource/<resource_name>'"
            )
        if "/" in name:
            raise KubectlError("arguments in resource/name form may not have more than one slash")
        if not type_ or not name:
            raise KubectlError("arguments in resource/name form must have a single resource and name")
        resource = mapper.resource(type_)
        yield Target(resource=resource, namespace=_namespace(session, resource), name=name)


async def from_files(session: Session, *, offline: bool = False) -> list[Target]:
    """Read the objects of -f, each with its resource and namespace.

    offline: do not ask the server for the resource's name (``--dry-run=client`` of new types still needs it).
    """
    del offline
    mapper = await session.mapper()
    targets = []
    for source, obj in read_files(session.values.filename, recursive=session.values.get("recursive", False)):
        targets.append(_target_of(session, mapper, obj, source))
    return targets


def _target_of(session: Session, mapper: Mapper, obj: Object, source: str) -> Target:
    kind = GroupVersionKind.parse(obj.get("apiVersion", ""), obj.get("kind", ""))
    metadata = obj.setdefault("metadata", {})
    name = metadata.get("name", "")
    try:
        resource = mapper.for_kind(kind, source)
    except KubectlError as error:
        text = str(error).replace("{name}", name).replace("{namespace}", metadata.get("namespace", ""))
        raise KubectlError(text) from None
    namespace = ""
    if resource.namespaced:
        namespace = metadata.get("namespace", "")
        if namespace and session.namespace_given and namespace != session.namespace:
            raise KubectlError(
                f'the namespace from the provided object "{namespace}" does not match the namespace '
                f"\"{session.namespace}\". You must pass '--namespace={namespace}' to perform this operation."
            )
        namespace = namespace or session.namespace
        metadata["namespace"] = namespace
    return Target(resource=resource, namespace=namespace, name=name, obj=obj, source=source)


def read_files(names: list[str], *, recursive: bool) -> Iterator[tuple[str, Object]]:
    """Yield (source, object) of every document in the files; Lists are taken apart. Raises KubectlError."""
    for name in names:
        if name == "-":
            yield from _documents("STDIN", sys.stdin.read())
            continue
        path = Path(name)
        if not path.exists():
            raise KubectlError(f'the path "{name}" does not exist')
        for file in _files(path, recursive=recursive):
            yield from _documents(str(file), file.read_text())


def _files(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    files = sorted(one for one in found if one.is_file() and one.suffix in _SUFFIXES)
    if not files:
        raise KubectlError(f"error reading [{path}]: recognized file extensions are [.json .yaml .yml]")
    return files


def _documents(source: str, text: str) -> Iterator[tuple[str, Object]]:
    from sampan.api.schema import MalformedError, goyaml  # noqa: PLC0415 - start-up time

    try:
        documents = [goyaml.loads(part.encode()).value for part in re.split(r"(?m)^---(?=\s|$)", text) if part.strip()]
    except MalformedError as error:
        raise KubectlError(f"error parsing {source}: error converting YAML to JSON: {error}") from error
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise KubectlError(f"error validating {source}: the document is no object")
        for field in ("apiVersion", "kind"):
            if not document.get(field):
                missing = [f"{one} not set" for one in ("apiVersion", "kind") if not document.get(one)]
                raise KubectlError(
                    f'error validating "{source}": error validating data: [{", ".join(missing)}]; if you choose to '
                    f"ignore these errors, turn validation off with --validate=false"
                )
        if document["kind"].endswith("List") and isinstance(document.get("items"), list):
            for item in document["items"]:
                yield source, item
        else:
            yield source, document


class Failures:
    """Collects what failed while the rest goes on, as kubectl does; `finish` sets the exit code."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, error: APIStatusError | KubectlError) -> None:
        """Print an error and remember that there was one."""
        self.count += 1
        text = error.render() if isinstance(error, KubectlError) else render_status_error(error)
        print(text, file=sys.stderr)

    def finish(self) -> None:
        """Raise SilentError if anything failed."""
        if self.count:
            raise SilentError("failed")
