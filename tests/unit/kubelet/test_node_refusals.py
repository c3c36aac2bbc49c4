"""Pods that a node cannot run although they were bound to it."""

from __future__ import annotations

import pytest

from sampan.kubelet.admission import refuse


def pod(**spec):
    return {"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [{"name": "c"}], **spec}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "not allowlisted"),
        (
            {"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}},
            "not allowed with host net enabled",
        ),
    ],
)
def test_sysctls_that_reach_beyond_the_pod_are_forbidden(spec, message):
    reason, text = refuse(pod(**spec), [], {})
    assert reason == "SysctlForbidden"
    assert text.endswith(message)


def test_safe_sysctls_may_be_written_with_slashes():
    safe = [{"name": "kernel/shm_rmid_forced", "value": "1"}]
    assert refuse(pod(securityContext={"sysctls": safe}), [], {}) is None


def test_groups_that_must_be_strict_are_refused_where_the_runtime_cannot():
    reason, _ = refuse(pod(securityContext={"supplementalGroupsPolicy": "Strict"}), [], {})
    assert reason == "SupplementalGroupsPolicyNotSupported"
