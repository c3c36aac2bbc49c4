"""Roles, bindings, and their cluster-wide forms. Names may hold whatever fits into a URL path."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

GROUP = "rbac.authorization.k8s.io"
_ROLE_REF = Path("roleRef")
_SUBJECTS = Path("subjects")
_RULES = Path("rules")


class RoleStrategy(Strategy):
    """Roles of one namespace."""

    allow_create_on_update = True
    has_status = False
    name_kind = "path"
    namespaced = True

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        for position, rule in enumerate(obj.get("rules") or ()):
            _rule(errors, _RULES.index(position), rule, namespaced=self.namespaced)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


class ClusterRoleStrategy(RoleStrategy):
    """Roles of the cluster; may be put together from others by label."""

    namespaced = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors = super().validate(ctx, obj)
        self._aggregation(errors, obj, tolerant=False)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = super().validate(ctx, new)
        before = (old.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        self._aggregation(errors, new, tolerant=not all(map(selectors.is_valid, before)))
        return errors

    @staticmethod
    def _aggregation(errors: Errors, obj: Object, *, tolerant: bool) -> None:
        rule = obj.get("aggregationRule")
        if rule is None:
            return
        path, items = Path("aggregationRule").child("clusterRoleSelectors"), rule.get("clusterRoleSelectors") or ()
        if not items:
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(field.required(path, detail))
        for position, one in enumerate(items):
            selectors.label_selector(errors, path.index(position), one, allow_invalid_values=tolerant)


def _rule(errors: Errors, path: Path, rule: Object, *, namespaced: bool) -> None:
    urls = rule.get("nonResourceURLs") or []
    if not rule.get("verbs"):
        errors.append(field.required(path.child("verbs"), "verbs must contain at least one value"))
    if urls:
        where = path.child("nonResourceURLs")
        if namespaced:
            errors.append(field.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs"))
        if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(field.invalid(where, urls, detail))
        return
    for key, what in (("apiGroups", "api group"), ("resources", "resource")):
        if not rule.get(key):
            errors.append(field.required(path.child(key), f"resource rules must supply at least one {what}"))


class RoleBindingStrategy(Strategy):
    """Bindings in one namespace."""

    allow_create_on_update = True
    has_status = False
    name_kind = "path"
    role_kinds: tuple[str, ...] = ("Role", "ClusterRole")

    def default(self, obj: Object) -> None:
        reference = obj.setdefault("roleRef", {})
        if not reference.get("apiGroup"):
            reference["apiGroup"] = GROUP
        for subject in obj.get("subjects") or ():
            if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = GROUP

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        reference = obj["roleRef"]
        if reference.get("apiGroup") != GROUP:
            errors.append(field.not_supported(_ROLE_REF.child("apiGroup"), reference.get("apiGroup", ""), (GROUP,)))
        names.one_of(errors, _ROLE_REF.child("kind"), reference.get("kind", ""), self.role_kinds)
        if not reference.get("name"):
            errors.append(field.required(_ROLE_REF.child("name")))
        else:
            names.path_segment(errors, _ROLE_REF.child("name"), reference["name"])
        for position, subject in enumerate(obj.get("subjects") or ()):
            self._subject(errors, _SUBJECTS.index(position), subject)
        return errors

    def _subject(self, errors: Errors, path: Path, subject: Object) -> None:
        kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
        if not name:
            errors.append(field.required(path.child("name")))
        if kind == "ServiceAccount":
            if name:
                names.dns_subdomain(errors, path.child("name"), name)
            if group:
                errors.append(field.not_supported(path.child("apiGroup"), group, ("",)))
            if len(self.role_kinds) == 1 and not subject.get("namespace"):
                errors.append(field.required(path.child("namespace")))
        elif kind in ("User", "Group"):
            if group != GROUP:
                errors.append(field.not_supported(path.child("apiGroup"), group, (GROUP,)))
        else:
            errors.append(field.not_supported(path.child("kind"), kind, ("ServiceAccount", "User", "Group")))

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self.validate(ctx, new)
        if new["roleRef"] != old.get("roleRef"):
            shown = gotypes.internal("rbac.v1.RoleRef", new["roleRef"])
            errors.append(field.invalid(_ROLE_REF, shown, "cannot change roleRef"))
        return errors


class ClusterRoleBindingStrategy(RoleBindingStrategy):
    """Bindings for the whole cluster."""

    role_kinds = ("ClusterRole",)
