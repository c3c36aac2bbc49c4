"""`kubectl api-resources` and `kubectl api-versions`: what the server serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from sampan.kubectl.mapping import Resource
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="api-group", help="Only this group's resources; empty for the core group."),
    Flag(name="cached", kind="bool", help="Accepted for compatibility."),
    Flag(name="categories", kind="list", help="Only resources of these categories."),
    Flag(name="namespaced", kind="bool", default=True, help="Only resources with (or =false, without) namespaces."),
    Flag(name="no-headers", kind="bool", help="Leave the header out."),
    Flag(name="output", short="o", help="wide, name, json or yaml."),
    Flag(name="show-managed-fields", kind="bool", help="Accepted for compatibility."),
    Flag(name="sort-by", help="name or kind."),
    Flag(name="verbs", kind="list", help="Only resources with all these verbs."),
)


async def resources(session: Session, arguments: list[str], dash: int) -> None:
    """Run api-resources."""
    del dash
    values = session.values
    if arguments:
        raise KubectlError(
            f"unexpected arguments: [{' '.join(arguments)}]\nSee 'kubectl api-resources -h' for help and examples"
        )
    if values.output not in ("", "wide", "name"):
        raise KubectlError(f"--output {values.output} is not available")
    if values.sort_by not in ("", "name", "kind"):
        raise KubectlError("--sort-by accepts only name or kind")
    found = [one for one in (await session.mapper()).resources if one.preferred and _wanted(session, one)]
    if values.sort_by:
        found.sort(key=lambda one: one.gvr.resource if values.sort_by == "name" else one.kind.kind)
    else:
        found.sort(key=lambda one: (one.gvr.group, one.gvr.resource))
    if values.output == "name":
        for one in found:
            print(one.qualified)
        return
    wide = values.output == "wide"
    rows = (
        [] if values.no_headers else [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"]]
    )
    rows += [
        [one.gvr.resource, ",".join(one.short_names), one.kind.api_version, str(one.namespaced).lower(), one.kind.kind,
         ",".join(sorted(one.verbs)), ",".join(one.categories)]
        for one in found
    ]  # fmt: skip
    for line in render_rows([row if wide else row[:5] for row in rows]):
        print(line)


def _wanted(session: Session, one: Resource) -> bool:
    values = session.values
    if not one.verbs:
        return False
    if "api-group" in values.changed and one.gvr.group != values.api_group:
        return False
    if "namespaced" in values.changed and one.namespaced != values.namespaced:
        return False
    return set(values.verbs) <= set(one.verbs) and set(values.categories) <= set(one.categories)


async def versions(session: Session, arguments: list[str], dash: int) -> None:
    """Run api-versions."""
    del dash
    if arguments:
        raise KubectlError(
            f"unexpected arguments: [{' '.join(arguments)}]\nSee 'kubectl api-versions -h' for help and examples"
        )
    found = set((await session.json("GET", "/api"))["versions"])
    for group in (await session.json("GET", "/apis"))["groups"]:
        found |= {one["groupVersion"] for one in group["versions"]}
    for one in sorted(found):
        print(one)


API_RESOURCES = Command(
    name="api-resources", short="Print the API resources that the server has.", run=resources, flags=_FLAGS
)
API_VERSIONS = Command(
    name="api-versions", short='Print the API versions that the server has, as "group/version".', run=versions
)
