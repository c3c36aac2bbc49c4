"""RBAC escalation: nobody grants rights that they do not hold, unless they hold "escalate" or "bind".

In kube-apiserver this wraps the storage of roles and bindings; as the last mutating step of admission it runs at the
same place of a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest
from sampan.apiserver.authn.user import MASTERS
from sampan.apiserver.authz import rules as rbac_rules
from sampan.apiserver.authz.interface import Attributes
from sampan.apiserver.authz.rbac import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionServices
    from sampan.apiserver.authz.rbac import RBACAuthorizer

_ROLES = frozenset({"roles", "clusterroles"})
_BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
_EVERYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]},
]  # fmt: skip


class RBACEscalation:
    """See the module."""

    name = "RBACEscalation"

    def __init__(self, services: AdmissionServices, rbac: Callable[[], RBACAuthorizer]) -> None:
        self._authorizer = services.authorizer
        self._rbac = rbac

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        named = resource.group == GROUP and resource.resource in (_ROLES | _BINDINGS)
        return operation in (CREATE, UPDATE) and named and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        if MASTERS in request.user.groups:
            return
        new, old = request.object or {}, request.old
        if request.resource.resource in _ROLES:
            self._check_role(request, new, old)
        else:
            self._check_binding(request, new, old)

    def _check_role(self, request: AdmissionRequest, new: Object, old: Object | None) -> None:
        rules, aggregation = new.get("rules") or [], new.get("aggregationRule")
        if old is not None and rules == (old.get("rules") or []) and aggregation == old.get("aggregationRule"):
            return
        if self._may(request, "escalate", request.resource.resource, request.name, request.namespace):
            return
        self._confirm(request, rules)
        if aggregation and aggregation.get("clusterRoleSelectors"):
            owned, _ = self._rbac().rules_for(request.user, "")
            if rbac_rules.uncovered(owned, _EVERYTHING):
                why = "must have cluster-admin privileges to use an aggregationRule"
                raise errors.forbidden(request.resource, request.name, why)

    def _check_binding(self, request: AdmissionRequest, new: Object, old: Object | None) -> None:
        same = old is not None and all(new.get(key) == old.get(key) for key in ("roleRef", "subjects"))
        if same:
            return
        reference = new.get("roleRef") or {}
        resource = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        if self._may(request, "bind", resource, reference.get("name", ""), request.namespace):
            return
        rules, problem = self._rbac().role_rules(reference, request.namespace)
        if problem:
            raise errors.not_found(request.resource, reference.get("name", ""))
        self._confirm(request, rules)

    def _may(self, request: AdmissionRequest, verb: str, resource: str, name: str, namespace: str) -> bool:
        attributes = Attributes(request.user, verb, GROUP, "*", resource, "", namespace, name)
        return self._authorizer.authorize(attributes).allowed

    def _confirm(self, request: AdmissionRequest, wanted: list[Object]) -> None:
        owned, problem = self._rbac().rules_for(request.user, request.namespace)
        missing = rbac_rules.uncovered(owned, wanted)
        if not missing:
            return
        listed = "\n".join(sorted(rbac_rules.compact_string(one) for one in rbac_rules.compact(missing)))
        groups = " ".join(f'"{group}"' for group in request.user.groups)
        why = (
            f'user "{request.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
            "not currently held:\n"
            f"{listed}"
        )
        if problem:
            why += f"; resolution errors: [{problem}]"
        raise errors.forbidden(request.resource, request.name, why)
