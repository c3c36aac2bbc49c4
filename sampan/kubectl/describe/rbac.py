"""Describing roles and role bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sampan.kubectl.describe.writer import go_list

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


class _Rule(NamedTuple):
    """One resource, or one URL, and what may be done with it. raw: the resource as the rule spells it."""

    group: str
    raw: str
    url: str
    name: str
    verbs: tuple[str, ...]

    @property
    def resource(self) -> str:
        name, slash, subresource = self.raw.partition("/")
        return (f"{name}.{self.group}" if self.group else name) + slash + subresource


async def describe_role(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Role or ClusterRole: its rules taken apart by resource, merged by what they allow."""
    del session, events
    writer.metadata(obj, namespaced=False)
    writer.write(0, "PolicyRule:\n")
    writer.write(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs\n")
    writer.write(1, "---------\t-----------------\t--------------\t-----\n")
    for rule in rules_in_order(obj.get("rules") or []):
        names = go_list([rule.name] if rule.name else [])
        urls = go_list([rule.url] if rule.url else [])
        writer.write(1, f"{rule.resource}\t{urls}\t{names}\t{go_list(rule.verbs)}\n")


def rules_in_order(rules: list[Object]) -> list[_Rule]:
    """Rules taken apart, merged and sorted."""
    return sorted(_compact(rules), key=_order)


def _order(rule: _Rule) -> str:
    """Rules sort by Go's spelling of them, in which the verbs come first."""
    return (
        f"Verbs:{go_list(rule.verbs)},APIGroups:[{rule.group}],Resources:[{rule.raw}],ResourceNames:[{rule.name}],"
        f"NonResourceURLs:[{rule.url}]"
    )


def _compact(rules: list[Object]) -> list[_Rule]:
    """Merge rules about the same resource; those about URLs stay as they are."""
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    urls = []
    for rule in rules:
        for one in _broken_down(rule):
            if one.url:
                urls.append(one)
                continue
            verbs = merged.setdefault(one[:4], [])
            verbs += [verb for verb in one.verbs if verb not in verbs]
    return [*(_Rule(*key, tuple(verbs)) for key, verbs in merged.items()), *urls]


def _broken_down(rule: Object) -> list[_Rule]:
    verbs = tuple(rule.get("verbs") or ())
    found = []
    for group in rule.get("apiGroups") or []:
        for resource in rule.get("resources") or []:
            found += [_Rule(group, resource, "", one, verbs) for one in rule.get("resourceNames") or [""]]
    found += [_Rule("", "", url, "", verbs) for url in rule.get("nonResourceURLs") or []]
    return found


async def describe_binding(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a RoleBinding or ClusterRoleBinding."""
    del session, events
    writer.metadata(obj, namespaced=False)
    writer.write(0, "Role:\n")
    writer.write(1, f"Kind:\t{obj['roleRef']['kind']}\n")
    writer.write(1, f"Name:\t{obj['roleRef']['name']}\n")
    writer.write(0, "Subjects:\n")
    writer.write(1, "Kind\tName\tNamespace\n")
    writer.write(1, "----\t----\t---------\n")
    for one in obj.get("subjects") or []:
        writer.write(1, f"{one['kind']}\t{one['name']}\t{one.get('namespace', '')}\n")
