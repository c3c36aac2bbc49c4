"""What a node may do: the Node authorizer and NodeRestriction."""

from base64 import b64encode

import pytest

from sampan.api.errors import Forbidden
from sampan.api.gvk import GroupResource, GroupVersionKind
from sampan.apiserver.admission.interface import AdmissionRequest, AdmissionServices
from sampan.apiserver.admission.noderestriction import NodeRestriction
from sampan.apiserver.authn.user import User
from sampan.apiserver.authz.interface import Attributes, Decision
from sampan.apiserver.authz.node import NodeAuthorizer
from sampan.base.clock import RealClock
from sampan.base.pki import create_csr

NODE = User("system:node:n1", groups=("system:nodes",)).authenticated()


def pod(name="p", node="n1", namespace="a", **spec):
    return {"metadata": {"name": name, "namespace": namespace, "uid": "u"}, "spec": {"nodeName": node, **spec}}


SECRET_POD = pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}], imagePullSecrets=[{"name": "pull"}])


class World:
    """Pods by name, and other objects by resource and name."""

    def __init__(self, *pods, **others):
        self.pods = pods
        self.others = others
        self.granted = set()

    def lookup(self, group, resource, namespace, name):
        if resource == "pods":
            found = [
                one for one in self.pods if (one["metadata"]["namespace"], one["metadata"]["name"]) == (namespace, name)
            ]
            return found[0] if found else None
        return self.others.get(resource, {}).get(name)

    def pods_of(self, node):
        return [one for one in self.pods if one["spec"]["nodeName"] == node]

    def authorize(self, attributes):
        return Decision((attributes.verb, attributes.resource) in self.granted)

    def allows(self, verb, resource, name="", *, namespace="a", sub="", selector="", group="", user=NODE):
        authorizer = NodeAuthorizer(self.lookup, self.pods_of, lambda a: False)
        asked = Attributes(user, verb, group, "v1", resource, sub, namespace, name, field_selector=selector)
        return authorizer.authorize(asked).allowed

    def admit(self, operation, resource, obj, *, old=None, name="", sub="", user=NODE):
        """Run both phases of NodeRestriction."""
        group, _, plural = resource.rpartition("/")
        services = AdmissionServices(
            lookup=self.lookup, objects=lambda *_: [], authorizer=self, clock=RealClock(), features={}
        )
        request = AdmissionRequest(
            operation=operation, resource=GroupResource(group, plural), version="v1",
            kind=GroupVersionKind(group, "v1", "X"), subresource=sub, namespace="a", name=name, object=obj, old=old,
            user=user, dry_run=False, options={}, warnings=[],
        )  # fmt: skip
        plugin = NodeRestriction(services)
        assert plugin.handles(operation, request.resource, sub)
        plugin.mutate(request)
        plugin.validate(request)


def test_node_reads_secrets_of_its_pods_only():
    world = World(SECRET_POD, pod("q", "n2", volumes=[{"name": "v", "secret": {"secretName": "other"}}]))
    assert world.allows("get", "secrets", "s")
    assert world.allows("watch", "secrets", "pull")
    assert not world.allows("get", "secrets", "other")
    assert not world.allows("list", "secrets")
    assert not world.allows("update", "secrets", "s")


def test_node_does_not_read_a_secret_name_across_namespaces():
    world = World(SECRET_POD)
    assert not world.allows("list", "secrets", "s", namespace="")
    assert not world.allows("get", "secrets", "s", namespace="b")


def test_node_reads_only_the_pods_bound_to_it():
    world = World(pod(), pod("q", "n2"))
    assert world.allows("get", "pods", "p")
    assert not world.allows("get", "pods", "q")
    assert world.allows("list", "pods", namespace="", selector="spec.nodeName=n1")
    assert not world.allows("list", "pods", namespace="", selector="spec.nodeName=n2")
    assert not world.allows("list", "pods", namespace="", selector="spec.nodeName!=n1")
    assert not world.allows("watch", "pods", namespace="")
    assert not world.allows("deletecollection", "pods", selector="spec.nodeName=n1")


def test_node_learns_that_a_pod_is_gone():
    assert World().allows("get", "pods", "gone")


def test_node_reads_its_own_node_object_only():
    world = World()
    assert world.allows("get", "nodes", "n1", namespace="")
    assert not world.allows("get", "nodes", "n2", namespace="")
    assert not world.allows("list", "nodes", namespace="")
    assert not world.allows("delete", "nodes", "n1", namespace="")
    assert not world.allows("create", "nodes", "n1", namespace="", sub="proxy")


def test_node_reaches_its_own_resource_slices_only():
    slices = {"mine": {"spec": {"nodeName": "n1"}}, "theirs": {"spec": {"nodeName": "n2"}}}
    world = World(resourceslices=slices)
    group = "resource.k8s.io"
    assert world.allows("update", "resourceslices", "mine", group=group)
    assert not world.allows("update", "resourceslices", "theirs", group=group)
    assert not world.allows("list", "resourceslices", group=group)


def test_user_named_like_a_node_outside_the_group_is_no_node():
    assert not World(SECRET_POD).allows("get", "secrets", "s", user=User("system:node:n1").authenticated())


OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "nu", "controller": True}


def mirror(owner=OWNER, **spec):
    made = pod(**spec)
    made["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    if owner:
        made["metadata"]["ownerReferences"] = [owner]
    return made


WORLD = World(nodes={"n1": {"metadata": {"name": "n1", "uid": "nu"}}})


def test_node_makes_mirror_pods_that_it_owns():
    WORLD.admit("CREATE", "pods", mirror())


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (pod(), "can only create mirror pods"),
        (mirror(node="n2"), "with spec.nodeName set to itself"),
        (mirror(None), "with an owner reference set to itself"),
        (mirror({**OWNER, "controller": False}), "with a controller owner reference"),
        (mirror({**OWNER, "uid": "other"}), "node n1 UID mismatch: expected other got nu"),
        (mirror(serviceAccountName="x"), "reference a service account"),
        (mirror(volumes=[{"name": "v", "secret": {"secretName": "s"}}]), "reference secrets"),
        (mirror(imagePullSecrets=[{"name": "s"}]), "reference secrets"),
        (mirror(containers=[{"name": "c", "envFrom": [{"secretRef": {"name": "s"}}]}]), "reference secrets"),
        (mirror(volumes=[{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]), "configmaps"),
        (mirror(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]), "persistentvolumeclaims"),
    ],
)
def test_node_gets_at_nothing_through_pods_that_it_makes(made, why):
    with pytest.raises(Forbidden, match=why):
        WORLD.admit("CREATE", "pods", made)


def test_node_reports_on_its_own_pods_without_changing_labels():
    old = pod()
    WORLD.admit("UPDATE", "pods", pod(), old=old, name="p", sub="status")
    labelled = pod()
    labelled["metadata"]["labels"] = {"a": "b"}
    with pytest.raises(Forbidden, match="cannot update labels"):
        WORLD.admit("UPDATE", "pods", labelled, old=old, name="p", sub="status")
    with pytest.raises(Forbidden, match=r"spec\.nodeName set to itself"):
        WORLD.admit("UPDATE", "pods", pod(node="n2"), old=pod(node="n2"), name="p", sub="status")


def test_node_asks_for_certificates_in_its_own_name():
    def asked(name):
        request = b64encode(create_csr(name, ["system:nodes"]).certificate).decode()
        return {"metadata": {}, "spec": {"signerName": "kubernetes.io/kubelet-serving", "request": request}}

    WORLD.admit("CREATE", "certificates.k8s.io/certificatesigningrequests", asked("system:node:n1"))
    with pytest.raises(Forbidden, match="can only create a node CSR with CN=system:node:n1"):
        WORLD.admit("CREATE", "certificates.k8s.io/certificatesigningrequests", asked("system:node:n2"))


def test_node_grows_claims_and_changes_nothing_else_of_them():
    claim = {"metadata": {"name": "c"}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}}
    grown = {**claim, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}
    WORLD.admit("UPDATE", "persistentvolumeclaims", grown, old=claim, name="c", sub="status")
    lost = {**claim, "status": {"phase": "Lost"}}
    with pytest.raises(Forbidden, match=r"other than status\.capacity"):
        WORLD.admit("UPDATE", "persistentvolumeclaims", lost, old=claim, name="c", sub="status")


def token(*audiences, uid="u"):
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}
    return {"metadata": {}, "spec": {"audiences": list(audiences), "boundObjectRef": bound}}


def projected(**source):
    volume = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", **source}}]}}
    return pod(volumes=[volume])


def ask_token(world, *audiences, uid="u"):
    world.admit("CREATE", "serviceaccounts", token(*audiences, uid=uid), name="sa", sub="token")


def test_node_gets_tokens_for_the_audiences_of_its_pods_volumes():
    ask_token(World(projected(audience="vault")), "vault")
    ask_token(World(projected()))
    with pytest.raises(Forbidden, match='audience "other" not found in pod spec volume, system:node:n1 is not'):
        ask_token(World(projected(audience="vault")), "other")
    with pytest.raises(Forbidden, match="0 or 1 audiences"):
        ask_token(World(projected(audience="vault")), "vault", "other")


def test_node_gets_tokens_for_an_audience_that_it_was_granted():
    world = World(pod())
    world.granted.add(("request-serviceaccounts-token-audience", "registry"))
    ask_token(world, "registry")


def test_node_gets_tokens_for_the_drivers_of_its_volumes():
    drivers = {"d": {"spec": {"tokenRequests": [{"audience": "cloud"}]}}}
    ask_token(World(pod(volumes=[{"name": "v", "csi": {"driver": "d"}}]), csidrivers=drivers), "cloud")


def test_node_gets_no_token_for_a_pod_elsewhere():
    with pytest.raises(Forbidden, match="scheduled on a different node"):
        ask_token(World(pod(node="n2")))
    with pytest.raises(Forbidden, match="UID"):
        ask_token(World(projected()), uid="old")
