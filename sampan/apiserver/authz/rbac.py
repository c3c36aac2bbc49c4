"""RBAC: roles and bindings, read from the watch cache, with decisions cached until any of them changes.

A decision is cached per user, verb, resource and namespace, with the object names it depends on, so that a thousand
GETs of different pods share one evaluation. `invalidate` is called by a watch on the four resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.authn.user import split_service_account
from sampan.apiserver.authz import rules as rbac_rules
from sampan.apiserver.authz.interface import Attributes, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sampan.api.object import Object
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.registry.strategy import Getter, Objects

GROUP = "rbac.authorization.k8s.io"
_CACHE_SIZE = 65536
_NO = Decision(allowed=False)

_Subject = tuple[str, str]
_Grants = list[tuple["frozenset[str] | None", str]]
"""What was found for one question: (names it holds for, None for all; reason), in order of evaluation."""


class RBACAuthorizer:
    """See the module."""

    def __init__(self, lookup: Getter, objects: Objects) -> None:
        self._lookup = lookup
        self._objects = objects
        self._cluster: dict[_Subject, list[Object]] | None = None
        self._namespaced: dict[str, dict[_Subject, list[Object]]] = {}
        self._cache: dict[tuple[object, ...], tuple[_Grants, str]] = {}
        self.generation = 0

    def invalidate(self) -> None:
        """Forget everything: a role or binding has changed."""
        self._cluster = None
        self._namespaced.clear()
        self._cache.clear()
        self.generation += 1

    def authorize(self, attributes: Attributes) -> Decision:
        if not attributes.is_resource:
            return self._path(attributes)
        a = attributes
        key = (a.user.identity, a.verb, a.group, a.resource, a.subresource, a.namespace)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            found = self._cache[key] = self._evaluate(attributes)
        grants, errors = found
        for names, reason in grants:
            if names is None or a.name in names:
                return Decision(True, reason)
        return Decision(False, errors) if errors else _NO

    def rules_for(self, user: User, namespace: str) -> tuple[list[Object], str]:
        """All rules that hold for a user in a namespace ("" for cluster-wide only), and what is wrong with bindings."""
        found: list[Object] = []
        errors: list[str] = []
        for binding, _ in self._bindings(user, namespace):
            role_rules, error = self._rules_of(binding)
            found += role_rules
            if error:
                errors.append(error)
        return found, _aggregate(errors)

    # -- evaluation

    def _evaluate(self, a: Attributes) -> tuple[_Grants, str]:
        resource = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
        grants: _Grants = []
        errors: list[str] = []
        for binding, subject in self._bindings(a.user, a.namespace):
            role_rules, error = self._rules_of(binding)
            if error:
                errors.append(error)
            for rule in role_rules:
                if rbac_rules.allows_resource(rule, a.verb, a.group, resource):
                    names = rule.get("resourceNames")
                    grants.append((frozenset(names) if names else None, _reason(binding, subject)))
                    if not names:
                        return grants, ""
        return grants, f"RBAC: {_aggregate(errors)}" if errors else ""

    def _path(self, a: Attributes) -> Decision:
        key = (a.user.identity, a.verb, a.path)
        found = self._cache.get(key)
        if found is None:
            grants: _Grants = []
            for binding, subject in self._bindings(a.user, ""):
                role_rules, _ = self._rules_of(binding)
                if any(rbac_rules.allows_path(rule, a.verb, a.path) for rule in role_rules):
                    grants = [(None, _reason(binding, subject))]
                    break
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            found = self._cache[key] = (grants, "")
        return Decision(True, found[0][0][1]) if found[0] else _NO

    def _bindings(self, user: User, namespace: str) -> Iterator[tuple[Object, str]]:
        """The bindings that name this user, cluster-wide ones first, with the subject that matched."""
        if self._cluster is None:
            self._cluster = _by_subject(self._objects(GROUP, "clusterrolebindings", ""), "")
        yield from _matches(self._cluster, user)
        if namespace:
            index = self._namespaced.get(namespace)
            if index is None:
                index = _by_subject(self._objects(GROUP, "rolebindings", namespace), namespace)
                self._namespaced[namespace] = index
            yield from _matches(index, user)

    def _rules_of(self, binding: Object) -> tuple[list[Object], str]:
        return self.role_rules(binding["roleRef"], binding["metadata"].get("namespace", ""))

    def role_rules(self, reference: Object, namespace: str) -> tuple[list[Object], str]:
        """The rules of a referenced role, or why there are none."""
        name = reference.get("name", "")
        if reference.get("kind") == "ClusterRole":
            role = self._lookup(GROUP, "clusterroles", "", name)
            error = f'clusterrole.{GROUP} "{name}" not found'
        elif reference.get("kind") == "Role":
            role = self._lookup(GROUP, "roles", namespace, name)
            error = f'role.{GROUP} "{name}" not found'
        else:
            return [], f'unsupported role reference kind: "{reference.get("kind", "")}"'
        return ([], error) if role is None else (role.get("rules") or [], "")


def _by_subject(bindings: Iterable[Object], namespace: str) -> dict[_Subject, list[Object]]:
    index: dict[_Subject, list[Object]] = {}
    for binding in bindings:
        for subject in binding.get("subjects") or ():
            kind, name = subject.get("kind", ""), subject.get("name", "")
            if kind == "ServiceAccount":
                key = (kind, f"{subject.get('namespace') or namespace}/{name}")
            else:
                key = (kind, name)
            known = index.setdefault(key, [])
            if not known or known[-1] is not binding:
                known.append(binding)
    return index


def _matches(index: dict[_Subject, list[Object]], user: User) -> Iterator[tuple[Object, str]]:
    if not index:
        return
    for binding in index.get(("User", user.name), ()):
        yield binding, f'User "{user.name}"'
    for group in user.groups:
        for binding in index.get(("Group", group), ()):
            yield binding, f'Group "{group}"'
    account = split_service_account(user.name)
    if account is not None:
        for binding in index.get(("ServiceAccount", f"{account[0]}/{account[1]}"), ()):
            yield binding, f'ServiceAccount "{account[1]}/{account[0]}"'


def _reason(binding: Object, subject: str) -> str:
    metadata, reference = binding["metadata"], binding["roleRef"]
    namespace = metadata.get("namespace")
    where = f'RoleBinding "{metadata["name"]}/{namespace}"' if namespace else f'ClusterRoleBinding "{metadata["name"]}"'
    return f'RBAC: allowed by {where} of {reference["kind"]} "{reference["name"]}" to {subject}'


def _aggregate(errors: list[str]) -> str:
    unique = list(dict.fromkeys(errors))
    if len(unique) <= 1:
        return "".join(unique)
    return f"[{', '.join(unique)}]"
