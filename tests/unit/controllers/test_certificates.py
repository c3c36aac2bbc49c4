"""CertificateSigningRequests, bootstrap tokens, aggregated roles."""

import base64

import pytest
from cryptography import x509

from sampan.api import times
from sampan.base.pki import CertificateAuthority, create_csr
from sampan.client.resources import CERTIFICATESIGNINGREQUESTS, CLUSTERROLES, NODES, SECRETS, SUBJECTACCESSREVIEWS

from .harness import running

CSR = tuple(f"certificatesigningrequest-{what}-controller" for what in ("approving", "signing", "cleaner"))
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"


def request(signer, pem, user="system:bootstrap:abcdef", groups=("system:bootstrappers",), usage="client auth", **spec):
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "csr"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": signer,
            "usages": ["digital signature", usage],
            "username": user,
            "groups": list(groups),
            **spec,
        },
        "status": {},
    }


def allow(cluster, *subresources):
    def react(request):
        if request.resource == SUBJECTACCESSREVIEWS:
            asked = request.body["spec"]["resourceAttributes"]["subresource"]
            return {**request.body, "status": {"allowed": asked in subresources}}
        return None

    cluster.api.react = react


def status(cluster):
    found = cluster.api.get(CERTIFICATESIGNINGREQUESTS, "", "csr")["status"]
    return [one["type"] for one in found.get("conditions", [])], found.get("certificate")


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("test-ca")[0]


async def test_bootstrapping_kubelet_gets_its_client_certificate(authority):
    async with running(*CSR, signer=authority) as cluster:
        allow(cluster, "nodeclient")
        pair = create_csr("system:node:n", ["system:nodes"])
        cluster.api.add(CERTIFICATESIGNINGREQUESTS, request(KUBELET_CLIENT, pair.certificate, expirationSeconds=3600))
        await cluster.settled()
        types, certificate = status(cluster)
        assert types == ["Approved"]
        issued = x509.load_pem_x509_certificate(base64.b64decode(certificate))
        assert issued.subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"
        assert (issued.not_valid_after_utc - issued.not_valid_before_utc).total_seconds() < 2 * 3600


async def test_request_that_nobody_may_make_waits(authority):
    async with running(*CSR, signer=authority) as cluster:
        allow(cluster)
        pair = create_csr("system:node:n", ["system:nodes"])
        cluster.api.add(CERTIFICATESIGNINGREQUESTS, request(KUBELET_CLIENT, pair.certificate))
        await cluster.settled()
        assert status(cluster) == ([], None)
        allow(cluster, "nodeclient")
        await cluster.advance(10)
        assert status(cluster)[0] == ["Approved"]


@pytest.mark.parametrize(
    ("names", "approved"), [(["n", "10.0.0.1"], True), (["n", "10.0.0.2"], False), (["kubernetes.default"], False)]
)
async def test_serving_certificate_is_for_the_nodes_own_addresses_only(authority, names, approved):
    async with running(*CSR, signer=authority) as cluster:
        addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n"}]
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": addresses}}
        cluster.api.add(NODES, node)
        pair = create_csr("system:node:n", ["system:nodes"], names)
        wanted = request(KUBELET_SERVING, pair.certificate, "system:node:n", ("system:nodes",), "server auth")
        cluster.api.add(CERTIFICATESIGNINGREQUESTS, wanted)
        await cluster.settled()
        types, certificate = status(cluster)
        assert (types == ["Approved"], certificate is not None) == (approved, approved)


async def test_approved_request_against_the_signers_rules_fails(authority):
    async with running(*CSR, signer=authority) as cluster:
        pair = create_csr("root", ["system:masters"])
        wanted = request(KUBELET_CLIENT, pair.certificate)
        wanted["status"] = {"conditions": [{"type": "Approved", "status": "True"}]}
        cluster.api.add(CERTIFICATESIGNINGREQUESTS, wanted)
        await cluster.settled()
        found = cluster.api.get(CERTIFICATESIGNINGREQUESTS, "", "csr")["status"]
        assert "certificate" not in found
        failed = found["conditions"][1]
        assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
        assert failed["message"] == "subject organization is not system:nodes"


async def test_old_requests_are_deleted(authority):
    async with running(*CSR, signer=authority) as cluster:
        allow(cluster)
        pair = create_csr("someone", [])
        cluster.api.add(CERTIFICATESIGNINGREQUESTS, request("example.com/signer", pair.certificate))
        await cluster.advance(23 * 3600)
        assert len(cluster.api.all(CERTIFICATESIGNINGREQUESTS)) == 1
        await cluster.advance(3 * 3600)
        assert cluster.api.all(CERTIFICATESIGNINGREQUESTS) == []


async def test_expired_bootstrap_token_is_deleted_on_time():
    async with running("token-cleaner-controller") as cluster:
        end = times.format_time(cluster.clock.time() + 60)
        token = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
            "data": {"expiration": base64.b64encode(end.encode()).decode()},
        }
        cluster.api.add(SECRETS, token)
        await cluster.advance(59)
        assert len(cluster.api.all(SECRETS)) == 1
        await cluster.advance(2)
        assert cluster.api.all(SECRETS) == []


async def test_aggregated_role_has_the_rules_of_all_that_match():
    def role(name, labels=None, rules=None, **more):
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels or {}},
            "rules": rules or [],
            **more,
        }

    async with running("clusterrole-aggregation-controller") as cluster:
        selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}
        cluster.api.add(CLUSTERROLES, role("all", aggregationRule=selector))
        first, second = {"verbs": ["get"], "resources": ["a"]}, {"verbs": ["get"], "resources": ["b"]}
        cluster.api.add(CLUSTERROLES, role("z", {"to": "all"}, [first]))
        cluster.api.add(CLUSTERROLES, role("a", {"to": "all"}, [second, first]))
        await cluster.settled()
        assert cluster.api.get(CLUSTERROLES, "", "all")["rules"] == [second, first]
        cluster.api.remove(CLUSTERROLES, "", "a")
        await cluster.settled()
        assert cluster.api.get(CLUSTERROLES, "", "all")["rules"] == [first]
