"""The pod security standards."""

import pytest

from sampan.apiserver.admission.podsecurity import policy_of
from sampan.apiserver.admission.podsecuritychecks import violations

LATEST = 1 << 30
SAFE = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}


def pod(**changes):
    return {**SAFE, **changes}


def test_careful_pod_keeps_the_strictest_level():
    assert violations({}, SAFE, "restricted", LATEST) == []


def test_privileged_level_forbids_nothing():
    assert violations({}, {"containers": [], "hostPID": True}, "privileged", LATEST) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (pod(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "h")'),
        (
            pod(containers=[{"name": "c", "ports": [{"hostPort": 2}]}]),
            'hostPort (container "c" uses hostPort 2)',
        ),
        (
            pod(containers=[{"name": "a", "securityContext": {"privileged": True}}]),
            'privileged (container "a" must not set securityContext.privileged=true)',
        ),
        (
            pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            pod(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            'seLinuxOptions (pod sets forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            pod(containers=[{"name": "c", "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}]),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
        ),
    ],
)
def test_baseline_names_what_it_forbids(spec, expected):
    assert violations({}, spec, "baseline", LATEST) == [expected]


def test_checks_apply_from_their_version_on():
    spec = pod(containers=[{"name": "c", "livenessProbe": {"tcpSocket": {"host": "h"}}}])
    assert violations({}, spec, "baseline", 33) == []


def test_restricted_asks_for_more():
    found = violations({}, {"containers": [{"name": "a"}, {"name": "b"}]}, "restricted", LATEST)
    assert found[0] == (
        'allowPrivilegeEscalation != false (containers "a", "b" must set '
        "securityContext.allowPrivilegeEscalation=false)"
    )
    assert len(found) == 4


def test_warnings_follow_what_is_enforced():
    policy, wrong = policy_of({"pod-security.kubernetes.io/enforce": "baseline"})
    assert not wrong
    assert policy["warn"].text == "baseline:latest"
    assert policy["audit"].level == "privileged"


def test_wrong_labels_are_reported_and_taken_for_the_strictest():
    policy, wrong = policy_of({"pod-security.kubernetes.io/enforce": "loose"})
    assert policy["enforce"].level == "restricted"
    assert "must be one of privileged, baseline, restricted" in str(wrong[0])
