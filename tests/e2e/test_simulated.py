"""`sampan up --simulated-nodes`: a cluster of simulated nodes comes up, answers, and is gone after `sampan down`."""

from __future__ import annotations

import re

import pytest

from sampan.base.processes import ProcessRecord
from tests.e2e.machine import Machine, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_simulated_nodes_come_with_up_and_go_with_down(lan, tmp_path):
    cluster = Machine(lan.host("simulated"), tmp_path / "data")
    try:
        cluster.sampan("up", "--no-nodes", "--simulated-nodes", "20", "--wait-seconds", "60")
        assert len(cluster.get("nodes")["items"]) == 20
        assert re.search(r"simulate +running", cluster.sampan("status"))
        cluster.kubectl("run", "p", "--image=any")

        def is_ready():
            conditions = cluster.get("pod", "p").get("status", {}).get("conditions") or ()
            return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

        until(is_ready, "the pod to be ready")
        assert cluster.kubectl("logs", "p").startswith("simulated: p of default/p runs since ")
        assert cluster.kubectl("exec", "p", "--", "uname", "-a") == "simulated: uname -a\n"
        record = ProcessRecord.load(cluster.data_dir / "run" / "simulate.json")
    finally:
        cluster.sampan("down", "--purge", check=False)
    assert record is not None
    assert not record.alive
