from __future__ import annotations

import base64
import io
import json
import struct
import tarfile
import tomllib
from typing import TYPE_CHECKING

import pytest

from sampan.kubelet import containerd, pauseimage
from sampan.kubelet.backoff import Backoff
from sampan.kubelet.credentials import matching, with_default_tag
from sampan.kubelet.cri.containerd_events import Envelope, TaskExit, parse
from sampan.kubelet.runtime import RuntimeEventType
from tests.unit.kubelet.fakes import make_pod

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.kubelet.fakes import FakeNode


def secret(auths: dict[str, object]) -> dict[str, object]:
    data = json.dumps({"auths": auths}).encode()
    return {"data": {".dockerconfigjson": base64.b64encode(data).decode()}}


def test_most_specific_credentials_come_first() -> None:
    encoded = base64.b64encode(b"u2:p:2").decode()
    found = matching(
        "reg.example.com/team/app:1",
        [secret({"reg.example.com": {"username": "u1", "password": "p1"}, "reg.example.com/team": {"auth": encoded}})],
    )
    assert [(auth.username, auth.password) for auth in found] == [("u2", "p:2"), ("u1", "p1")]
    assert matching("reg.example.com/other/app", [secret({"reg.example.com/team": {"auth": encoded}})]) == []
    assert matching("a.example.com/x", [secret({"*.example.com": {"username": "u"}})])
    assert matching("nginx", [secret({"https://index.docker.io/v1/": {"username": "u"}})])
    assert matching("nginx", [{"data": {".dockerconfigjson": "bm90IGpzb24="}}]) == []


def test_latest_is_added_where_nothing_is_said() -> None:
    assert with_default_tag("nginx") == "nginx:latest"
    assert with_default_tag("localhost:5000/a") == "localhost:5000/a:latest"
    assert with_default_tag("a@sha256:1") == "a@sha256:1"
    with pytest.raises(ValueError, match="repository name must be lowercase"):
        with_default_tag("Nginx")


async def test_pull_uses_the_pods_secrets(node: FakeNode) -> None:
    node.objects.secrets["reg"] = secret({"reg.example.com": {"username": "me", "password": "x"}})
    pod = make_pod(imagePullSecrets=[{"name": "reg"}])
    pod["spec"]["containers"][0]["image"] = "reg.example.com/app:1"
    await node.post(pod)
    assert ("pull", "reg.example.com/app:1", "me") in node.runtime.calls
    messages = [message for _, _, message in node.recorder.events]
    assert 'Pulling image "reg.example.com/app:1"' in messages
    assert any(m.startswith('Successfully pulled image "reg.example.com/app:1" in 0ms (0ms incl') for m in messages)


def test_backoff_doubles_and_is_forgotten() -> None:
    backoff = Backoff(initial=10, limit=300)
    assert backoff.remaining("k", since=0, now=1) <= 0
    backoff.next("k", at=0, now=1)
    assert backoff.remaining("k", since=5, now=6) == 9
    backoff.next("k", at=5, now=16)
    assert backoff.delay("k") == 20
    for _ in range(10):
        backoff.next("k", at=20, now=20)
    assert backoff.delay("k") == 300
    backoff.next("k", at=1000, now=1000)
    assert backoff.delay("k") == 10


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_pause_program_is_a_static_executable(machine: str, number: int) -> None:
    program = pauseimage.pause_program(machine)
    assert program[:4] == b"\x7fELF"
    assert struct.unpack_from("<HH", program, 16) == (2, number)
    assert struct.unpack_from("<Q", program, 24)[0] == 0x400000 + 120
    assert len(program) < 1024


def test_pause_archive_is_an_image_layout() -> None:
    with tarfile.open(fileobj=io.BytesIO(pauseimage.pause_archive("x86_64"))) as archive:
        index = json.load(archive.extractfile("index.json"))
        entry = index["manifests"][0]
        assert entry["annotations"]["io.containerd.image.name"] == pauseimage.PAUSE_IMAGE
        manifest = json.load(archive.extractfile("blobs/sha256/" + entry["digest"][7:]))
        assert {name[:13] for name in archive.getnames()} == {"oci-layout", "index.json", "blobs/sha256/"}
        assert manifest["layers"][0]["digest"][7:] in "".join(archive.getnames())


def test_containerd_is_configured_for_itself_alone(tmp_path: Path) -> None:
    options = containerd.ContainerdOptions(
        directory=tmp_path / "c",
        state=tmp_path / "run",
        cni_conf_dir=tmp_path / "cni",
        registries={"localhost:5000": containerd.RegistryHost(url="http://127.0.0.1:5001", ca="/ca.pem")},
    )
    config = tomllib.loads(containerd.write_config(options).read_text())
    assert config["grpc"]["address"] == str(tmp_path / "run" / "containerd.sock")
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == pauseimage.PAUSE_IMAGE
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False
    assert cri["restrict_oom_score_adj"] is containerd.lacks_sys_resource()
    hosts = tomllib.loads((tmp_path / "c" / "certs.d" / "localhost:5000" / "hosts.toml").read_text())
    assert hosts["host"]["http://127.0.0.1:5001"]["ca"] == "/ca.pem"


def test_exit_of_a_task_is_an_event_and_of_an_exec_is_none() -> None:
    envelope = Envelope(topic="/tasks/exit", namespace="k8s.io")
    exited = TaskExit(container_id="c", id="c", exit_status=3)
    exited.exited_at.seconds, exited.exited_at.nanos = 5, 7
    envelope.event.value = exited.SerializeToString()
    event = parse(Envelope.FromString(envelope.SerializeToString()))
    assert event is not None
    assert (event.type, event.container_id, event.exit_code, event.at) == (
        RuntimeEventType.EXITED, "c", 3, 5_000_000_007,
    )  # fmt: skip
    envelope.event.value = TaskExit(container_id="c", id="exec1").SerializeToString()
    assert parse(envelope) is None
