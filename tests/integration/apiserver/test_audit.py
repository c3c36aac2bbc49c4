"""The audit log of a real API server."""

import json

import pytest

from sampan.apiserver.audit.log import AuditLog, AuditOptions
from sampan.apiserver.audit.policy import Policy, PolicyError
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base.clock import RealClock
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*"]
- level: RequestResponse
  omitManagedFields: true
  verbs: [create]
  resources: [{group: "", resources: [configmaps]}]
- level: Metadata
  resources: [{group: ""}]
"""


@pytest.fixture
async def audited(tmp_path):
    policy, log = tmp_path / "policy.yaml", tmp_path / "audit.log"
    policy.write_text(POLICY)
    options = ServerOptions(audit=AuditOptions(policy_file=policy, log_path=str(log)))
    async with APIServer(options, RealClock()) as server:
        pair = server.credentials.ca.issue("jane", organizations=("system:masters",))
        client = HTTPClient(ClientConfig(server=server.url, ca=server.ca, certificate=pair.certificate, key=pair.key))
        yield client, lambda: [json.loads(line) for line in log.read_text().splitlines()]
        await client.close()


async def test_events_hold_what_the_policy_asks_for(audited):
    http, events = audited
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}})
    path = "/api/v1/namespaces/default/configmaps"
    made = await http.request(
        "POST", path, body=body.encode(), headers={"Content-Type": "application/json", "Audit-ID": "my-id"}
    )
    assert (made.status, made.headers["audit-id"]) == (201, "my-id")
    await http.request("GET", f"{path}/nope", query={"pretty": "false"})
    await http.request("GET", "/healthz")
    await http.request("GET", "/apis/apps/v1/deployments")
    created, read = events()
    assert (created["stage"], created["level"], created["auditID"]) == ("ResponseComplete", "RequestResponse", "my-id")
    assert created["user"]["username"] == "jane"
    assert "system:masters" in created["user"]["groups"]
    assert created["verb"] == "create"
    assert created["objectRef"] == {
        "resource": "configmaps", "namespace": "default", "name": "c", "apiVersion": "v1",
    }  # fmt: skip
    assert created["requestObject"]["data"] == created["responseObject"]["data"] == {"a": "1"}
    assert "managedFields" not in created["responseObject"]["metadata"]
    assert created["responseStatus"] == {"metadata": {}, "code": 201}
    assert created["sourceIPs"] == ["127.0.0.1"]
    assert created["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert (read["level"], read["requestURI"]) == ("Metadata", f"{path}/nope?pretty=false")
    assert (read["responseStatus"]["code"], read["responseStatus"]["reason"]) == (404, "NotFound")
    assert "responseObject" not in read


async def test_a_watch_is_recorded_at_its_start_and_its_end(audited):
    http, events = audited
    query = {"watch": "true", "timeoutSeconds": "1"}
    async with http.stream("GET", "/api/v1/namespaces/default/configmaps", query=query) as answer:
        await answer.read()
    assert [one["stage"] for one in events()] == ["ResponseStarted", "ResponseComplete"]
    assert {one["verb"] for one in events()} == {"watch"}


async def test_the_log_is_rotated_by_size_and_old_files_go(tmp_path):
    options = AuditOptions(policy_file=tmp_path, log_path=str(tmp_path / "a.log"), max_size=1, max_backups=1)
    log = AuditLog(options)
    for number in range(4):
        log.write({"number": number, "filler": "x" * 700_000})
    log.close()
    assert len(list(tmp_path.glob("a-*.log"))) == 1
    assert json.loads((tmp_path / "a.log").read_text())["number"] == 3


async def test_a_wrong_policy_is_refused_by_name(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Loud}]\n")
    with pytest.raises(PolicyError, match=r"rules\[0\].level"):
        Policy.load(path)
