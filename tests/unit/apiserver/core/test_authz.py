"""RBAC rules, decisions and their cache."""

from sampan.apiserver.authn.user import User
from sampan.apiserver.authz import rules
from sampan.apiserver.authz.interface import Attributes
from sampan.apiserver.authz.rbac import RBACAuthorizer
from sampan.apiserver.authz.union import UnionAuthorizer

READ = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "*/scale"]}
NAMED = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]}


class World:
    """Roles and bindings in memory."""

    def __init__(self):
        self.roles = {"r": {"metadata": {"name": "r", "namespace": "n"}, "rules": [READ, NAMED]}}
        subject = {"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}
        self.bindings = [
            {
                "metadata": {"name": "b", "namespace": "n"}, "subjects": [subject],
                "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
            }
        ]  # fmt: skip

    def lookup(self, group, resource, namespace, name):
        return self.roles.get(name) if resource == "roles" else None

    def objects(self, group, resource, namespace):
        return self.bindings if resource == "rolebindings" and namespace == "n" else []


def ask(authorizer, verb="get", resource="pods", *, name="", namespace="n", sub="", user="alice"):
    return authorizer.authorize(Attributes(User(user), verb, "", "v1", resource, sub, namespace, name))


def test_binding_grants_what_its_role_lists_in_its_namespace_only():
    world = World()
    rbac = RBACAuthorizer(world.lookup, world.objects)
    assert ask(rbac).reason == 'RBAC: allowed by RoleBinding "b/n" of Role "r" to User "alice"'
    assert not ask(rbac, "delete").allowed
    assert not ask(rbac, namespace="other").allowed
    assert not ask(rbac, user="bob").allowed
    assert ask(rbac, resource="deployments", sub="scale").allowed


def test_resource_names_limit_a_rule_to_those_objects():
    world = World()
    rbac = RBACAuthorizer(world.lookup, world.objects)
    assert ask(rbac, resource="secrets", name="one").allowed
    assert not ask(rbac, resource="secrets", name="two").allowed
    assert not ask(rbac, "list", "secrets").allowed


def test_decisions_hold_until_invalidated():
    world = World()
    rbac = RBACAuthorizer(world.lookup, world.objects)
    assert ask(rbac).allowed
    world.bindings = []
    assert ask(rbac).allowed
    rbac.invalidate()
    assert not ask(rbac).allowed


def test_binding_to_a_missing_role_is_explained():
    world = World()
    world.roles = {}
    decision = ask(RBACAuthorizer(world.lookup, world.objects))
    assert decision.reason == 'RBAC: role.rbac.authorization.k8s.io "r" not found'


def test_masters_may_do_everything():
    attributes = Attributes(User("root", groups=("system:masters",)), "delete", "", "v1", "nodes")
    assert UnionAuthorizer(()).authorize(attributes).allowed


def test_uncovered_rules_are_what_an_escalation_would_add():
    assert rules.uncovered([READ], [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]) == []
    missing = rules.uncovered([READ], [{"verbs": ["get", "watch"], "apiGroups": [""], "resources": ["pods", "nodes"]}])
    listed = [rules.compact_string(one) for one in rules.compact(missing)]
    assert listed == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["watch"]}',
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch"]}',
    ]


def test_paths_match_exactly_or_by_prefix():
    rule = {"verbs": ["get"], "nonResourceURLs": ["/api", "/openapi/*"]}
    assert rules.allows_path(rule, "get", "/openapi/v3")
    assert not rules.allows_path(rule, "get", "/api/v1")
