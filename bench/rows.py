"""What is measured, in the order of the report, with the target and Kubernetes' figure for each.

A share is a rate divided by the bare limit of the same run: machines differ by a factor of two and more, shares do not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    unit: "/s" or "pods/s" for rates, else "s", "MB" or "%". limit: which bare limit a rate is a share of.

    target: the share to reach, or for other units the figure not to exceed. kubernetes: the share or figure of
    kube-apiserver v1.36.2 with etcd 3.6, on two cores.
    """

    key: str
    title: str
    unit: str
    limit: str = ""
    target: float | None = None
    kubernetes: str = ""


ROWS = (
    Row(key="bare_one", title="bare limit: 3.5 kB body, 16 connections", unit="/s"),
    Row(key="bare_list", title="bare limit: 17 MB body, 4 connections", unit="/s"),
    Row(key="get_pod", title="GET one pod, 16 connections", unit="/s", limit="bare_one", target=0.20,
        kubernetes="0.048"),
    Row(key="list_pods", title="LIST all pods, 4 connections", unit="/s", limit="bare_list", target=0.50,
        kubernetes="0.10"),
    Row(key="list_selector", title="LIST by label, 1 match, 8 connections", unit="/s", limit="bare_one", target=0.10,
        kubernetes="0.011"),
    Row(key="list_page", title="LIST a page of 500, 4 connections", unit="/s", limit="bare_one", target=0.0035,
        kubernetes="0.0009"),
    Row(key="create_pods", title="create pods, 32 connections", unit="/s", limit="bare_one", target=0.018,
        kubernetes="0.014"),
    Row(key="create_configmaps", title="create ConfigMaps by generateName, 16 connections", unit="/s", limit="bare_one",
        target=0.050, kubernetes="0.031"),
    Row(key="patch_pod", title="PATCH one pod, 1 connection", unit="/s", limit="bare_one", target=0.0060,
        kubernetes="0.0030"),
    Row(key="fan_out", title="events to 100 watchers of one object, 4 writers", unit="/s", limit="bare_one", target=1.0,
        kubernetes="0.40"),
    Row(key="ready", title="cold start to /readyz", unit="s", target=0.6, kubernetes="2.2 to 3.5"),
    Row(key="service_account", title="cold start to the default ServiceAccount", unit="s", target=0.6,
        kubernetes="2.8 to 4.3"),
    Row(key="memory_idle", title="resident memory, idle", unit="MB", target=100, kubernetes="603 (all parts)"),
    Row(key="cpu_idle", title="CPU while idle, of one core", unit="%", target=1.0, kubernetes="1.8"),
    Row(key="memory_loaded", title="resident memory after this load", unit="MB", target=300, kubernetes="714"),
    Row(key="bound_pods", title="3 000 pods bound on 1 000 nodes, from the first POST", unit="pods/s", target=400,
        kubernetes="30 to 120"),
    Row(key="pod_ready", title="pod POST to Ready, image present, median", unit="s", target=0.25, kubernetes="0.51"),
    Row(key="replicas_ready", title="20 pods by one ReplicationController", unit="s", target=2.0, kubernetes="3.0"),
    Row(key="cpu_idle_node", title="CPU of server and agent while idle, of one core", unit="%", target=1.0,
        kubernetes="1.8 (without a kubelet)"),
    Row(key="memory_agent", title="resident memory of the agent", unit="MB", target=50, kubernetes="91"),
    Row(key="kubectl", title="sampan kubectl get pods, wall time", unit="s", target=0.25, kubernetes="0.04"),
)  # fmt: skip

GROWTH = (
    Row(key="grown_get", title="GET, cost at 100 000 objects against 1 000", unit="x", target=1.3),
    Row(key="grown_patch", title="PATCH, cost at 100 000 objects against 1 000", unit="x", target=1.3),
    Row(key="grown_watch", title="watch events, cost at 100 000 objects against 1 000", unit="x", target=1.3),
    Row(key="grown_memory", title="resident memory at 100 000 objects", unit="MB"),
    Row(key="grown_restart", title="start with 100 000 objects to /readyz", unit="s"),
)
