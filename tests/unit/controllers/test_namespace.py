"""Namespaces: their deletion, their ServiceAccount and root CA."""

from sampan.client.resources import CONFIGMAPS, NAMESPACES, PODS, SECRETS, SERVICEACCOUNTS

from .harness import running


def namespace(name):
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def conditions(cluster, name):
    found = cluster.api.get(NAMESPACES, "", name)
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found["status"]["conditions"]}


async def test_empty_namespace_is_gone_at_once():
    async with running("namespace-controller") as cluster:
        cluster.api.add(NAMESPACES, namespace("a"))
        await cluster.client.resource(NAMESPACES).delete("a")
        await cluster.settled()
        assert cluster.api.all(NAMESPACES) == []


async def test_content_goes_before_the_namespace_pods_first():
    async with running("namespace-controller") as cluster:
        cluster.api.add(NAMESPACES, namespace("a"))
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "a"},
            "spec": {"nodeName": "n"},
        }
        cluster.api.add(PODS, pod)
        cluster.api.add(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a"}})
        await cluster.client.resource(NAMESPACES).delete("a")
        await cluster.settled()
        assert len(cluster.api.all(SECRETS)) == 1
        assert conditions(cluster, "a")["NamespaceContentRemaining"] == (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: pods. has 1 resource instances",
        )
        cluster.api.remove(PODS, "a", "p")
        await cluster.settled()
        assert cluster.api.all(SECRETS) == []
        assert cluster.api.all(NAMESPACES) == []


async def test_finalizers_hold_the_namespace_and_are_told():
    async with running("namespace-controller") as cluster:
        cluster.api.add(NAMESPACES, namespace("a"))
        held = {"name": "s", "namespace": "a", "finalizers": ["test/hold"]}
        cluster.api.add(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": held})
        await cluster.client.resource(NAMESPACES).delete("a")
        await cluster.settled()
        assert conditions(cluster, "a")["NamespaceFinalizersRemaining"] == (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: test/hold in 1 resource instances",
        )
        cluster.api.change(SECRETS, "a", "s", lambda obj: obj["metadata"].update(finalizers=[]))
        await cluster.advance(10)
        assert cluster.api.all(NAMESPACES) == []


async def test_every_namespace_gets_its_account_and_root_ca():
    names = ("serviceaccount-controller", "root-ca-certificate-publisher-controller")
    async with running(*names, root_ca=b"PEM") as cluster:
        cluster.api.add(NAMESPACES, namespace("a"))
        await cluster.settled()
        assert cluster.api.get(SERVICEACCOUNTS, "a", "default") is not None
        assert cluster.api.get(CONFIGMAPS, "a", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}
        cluster.api.remove(SERVICEACCOUNTS, "a", "default")
        cluster.api.change(CONFIGMAPS, "a", "kube-root-ca.crt", lambda obj: obj.update(data={}))
        await cluster.settled()
        assert cluster.api.get(SERVICEACCOUNTS, "a", "default") is not None
        assert cluster.api.get(CONFIGMAPS, "a", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}
