"""Audit policies: the first rule that matches a request says how much of it is recorded.

Behaviour: k8s.io/apiserver/pkg/audit/policy; the file is an audit.k8s.io/v1 Policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.requestinfo import RequestInfo

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


class PolicyError(SampanError):
    """The policy file cannot be used; the text says where it is wrong."""


class Decision(NamedTuple):
    """How much of a request is recorded. level: index into `LEVELS`. omitted: stages that are not."""

    level: int
    omitted: frozenset[str]
    omits_managed_fields: bool


_NOTHING = Decision(0, frozenset(), False)


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy."""

    rules: list[Object]
    omitted: frozenset[str]
    omits_managed_fields: bool

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read a policy file. Raises PolicyError."""
        try:
            raw: Any = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise PolicyError(f"--audit-policy-file {path}: {error}") from error
        if not isinstance(raw, dict) or (raw.get("apiVersion"), raw.get("kind")) != ("audit.k8s.io/v1", "Policy"):
            raise PolicyError(f"--audit-policy-file {path}: is no Policy of audit.k8s.io/v1")
        rules = raw.get("rules") or []
        problem = next((text for number, rule in enumerate(rules) if (text := _problem(rule, number))), "")
        if not rules:
            problem = "has no rules"
        if problem:
            raise PolicyError(f"--audit-policy-file {path}: {problem}")
        return cls(rules, frozenset(raw.get("omitStages") or ()), bool(raw.get("omitManagedFields")))

    def decide(self, info: RequestInfo, user: User) -> Decision:
        """How much of a request is recorded."""
        for rule in self.rules:
            if _matches(rule, info, user):
                omits = rule.get("omitManagedFields")
                return Decision(
                    LEVELS.index(rule["level"]), self.omitted | frozenset(rule.get("omitStages") or ()),
                    self.omits_managed_fields if omits is None else bool(omits),
                )  # fmt: skip
        return _NOTHING


def _problem(rule: Any, number: int) -> str:
    if not isinstance(rule, dict) or rule.get("level") not in LEVELS:
        return f"rules[{number}].level: must be one of {', '.join(LEVELS)}"
    if wrong := [one for one in rule.get("omitStages") or () if one not in STAGES]:
        return f"rules[{number}].omitStages: unknown stage {wrong[0]}"
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        return f"rules[{number}]: rules cannot apply to both regular resources and non-resource URLs"
    return ""


def _matches(rule: Object, info: RequestInfo, user: User) -> bool:
    users, groups, verbs = rule.get("users"), rule.get("userGroups"), rule.get("verbs")
    if users and user.name not in users:
        return False
    if groups and not any(one in groups for one in user.groups):
        return False
    if verbs and info.verb not in verbs:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return _matches_resource(rule, info)
    if rule.get("nonResourceURLs"):
        return not info.is_resource and any(_matches_path(one, info.path) for one in rule["nonResourceURLs"])
    return True


def _matches_path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _matches_resource(rule: Object, info: RequestInfo) -> bool:
    if not info.is_resource:
        return False
    namespaces, resources = rule.get("namespaces"), rule.get("resources")
    if namespaces and info.namespace not in namespaces:
        return False
    return not resources or any(_names(one, info) for one in resources)


def _names(wanted: Object, info: RequestInfo) -> bool:
    if (wanted.get("group") or "") != info.group:
        return False
    resources, names = wanted.get("resources"), wanted.get("resourceNames")
    if not resources:
        return True
    if names and info.name not in names:
        return False
    whole = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    others = {"*", whole, f"{info.resource}/*"} | ({f"*/{info.subresource}"} if info.subresource else set())
    return any(one in others for one in resources)
