"""Images: built, loaded, saved, pushed, pulled, by sampan and other programs; registries with TLS and passwords."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.machine import KUBIA, SAMPAN, until
from tests.e2e.registries import Registry, TokenServer
from tests.e2e.tools import real_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def _looks_by_real_kubectl():
    """These tests look at the cluster many times; the real kubectl starts in a fifth of our own's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMPAN_E2E_KUBECTL", str(real_kubectl("37")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def saved(machine, folder):
    """The example as `sampan image save` writes it.

    Pulled before: of an image whose layers were unpacked already, containerd fetches only what it needs to run it.
    """
    machine.sampan("image", "pull", KUBIA)
    machine.sampan("image", "save", "-o", str(folder / "saved.tar"), KUBIA)
    return folder / "saved.tar"


@pytest.fixture(scope="module")
def secured(machine, folder):
    """A registry with TLS and a password, whose authority the node knows."""
    with Registry(machine.host, 5543, folder / "secured") as registry:
        trust(machine, registry)
        yield registry


def trust(machine, registry):
    """As an administrator does it on each node."""
    target = machine.data_dir / "agent" / "containerd" / "certs.d" / registry.name
    target.mkdir()
    (target / "ca.crt").write_bytes((registry.cert_dir / "ca.crt").read_bytes())


def refused(machine, *argv: str) -> str:
    """What a sampan command that must fail says."""
    result = machine.run(*SAMPAN, *argv, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def images(machine) -> set[tuple[str, str]]:
    lines = machine.sampan("image", "list").splitlines()
    assert lines[0].split() == ["IMAGE", "TAG", "IMAGE", "ID", "SIZE"]
    return {tuple(line.split()[:2]) for line in lines[1:]}


def pod(name: str, *image_names: str, policy: str = "Always", secret: str = "") -> str:
    containers = [
        {"name": f"c{index}", "image": image, "imagePullPolicy": policy, "command": ["/bin/busybox", "sleep", "1000"]}
        for index, image in enumerate(image_names)
    ]
    spec = {"containers": containers, "terminationGracePeriodSeconds": 0}
    if secret:
        spec["imagePullSecrets"] = [{"name": secret}]
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def start(machine):
    """Create pods; they are gone after the test."""
    names = []

    def create(name, *image_names, **options):
        machine.kubectl("create", "-f", "-", stdin=pod(name, *image_names, **options))
        names.append(name)

    yield create
    if names:
        machine.kubectl("delete", "pod", "--wait=false", *names)


def is_running(machine, name) -> bool:
    status = machine.get("pod", name)["status"]
    return all(one["ready"] for one in status.get("containerStatuses") or [{"ready": False}])


def waiting(machine, name) -> dict:
    statuses = machine.get("pod", name)["status"].get("containerStatuses") or [{"state": {}}]
    return statuses[0]["state"].get("waiting", {})


def events(machine, name) -> list[tuple[str, str, str]]:
    found = machine.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(one["type"], one["reason"], one["message"]) for one in found]


def test_archives_of_each_kind_are_loaded_under_their_names_and_run(machine, saved, folder, start):
    for target in ("docker-archive:{}/d.tar:localhost/test/docker:1", "oci-archive:{}/o.tar:localhost/test/oci:1"):
        machine.run("skopeo", "copy", "-q", f"oci-archive:{saved}", target.format(folder))
    machine.run("skopeo", "copy", "-q", f"oci-archive:{saved}", f"oci:{folder}/layout:1.0")
    assert machine.sampan("image", "load", f"{folder}/d.tar") == "loaded localhost/test/docker:1\n"
    assert machine.sampan("image", "load", f"{folder}/o.tar") == "loaded localhost/test/oci:1\n"
    assert machine.sampan("image", "load", "--name=localhost/test/folder", f"{folder}/layout") == (
        "loaded localhost/test/folder:1.0\n"
    )
    names = ("localhost/test/docker:1", "localhost/test/oci:1", "localhost/test/folder:1.0")
    start("loaded", *names, policy="Never")
    until(lambda: is_running(machine, "loaded"), "the containers of loaded images")
    assert {tuple(name.rsplit(":", 1)) for name in names} <= images(machine)


def test_archive_without_a_full_name_needs_one(machine, saved, folder):
    machine.run("skopeo", "copy", "-q", f"oci-archive:{saved}", f"oci:{folder}/bare:2.0")
    assert "sampan image load --name NAME" in refused(machine, "image", "load", f"{folder}/bare")
    assert not any("import" in name for name, _ in images(machine))


def test_file_that_is_no_archive_is_refused(machine, folder):
    (folder / "text").write_text("hello")
    assert "is not an image archive" in refused(machine, "image", "load", f"{folder}/text")


def test_removed_image_is_gone_and_can_be_pulled_again(machine):
    machine.sampan("image", "build", "-t", "localhost:5000/again:v1", "examples/kubia")
    machine.sampan("image", "push", "localhost:5000/again:v1")
    assert ("localhost:5000/again", "v1") in images(machine)
    assert machine.sampan("image", "rm", "localhost:5000/again:v1") == "removed localhost:5000/again:v1\n"
    assert ("localhost:5000/again", "v1") not in images(machine)
    assert "`sampan image list` shows" in refused(machine, "image", "rm", "localhost:5000/again:v1")
    machine.sampan("image", "pull", "localhost:5000/again:v1")
    assert ("localhost:5000/again", "v1") in images(machine)


def test_other_programs_push_to_the_local_registry(machine, saved, folder, start):
    machine.run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{saved}",
                "docker://localhost:5000/by-skopeo:1")  # fmt: skip
    buildah = ("buildah", "--root", f"{folder}/b", "--runroot", f"{folder}/br", "--storage-driver=vfs")
    identity = machine.run(*buildah, "pull", "-q", f"oci-archive:{saved}").stdout.strip()
    machine.run(*buildah, "push", "-q", "--tls-verify=false", identity, "docker://localhost:5000/by-buildah:1")
    start("pushed", "localhost:5000/by-skopeo:1", "localhost:5000/by-buildah:1")
    until(lambda: is_running(machine, "pushed"), "the containers of pushed images")


def test_registry_with_password_takes_a_push_with_the_right_one_only(machine, secured):
    name = f"{secured.name}/kubia:1"
    machine.run("skopeo", "copy", "-q", f"--dest-cert-dir={secured.cert_dir}", f"--dest-authfile={secured.authfile()}",
                "--src-tls-verify=false", f"docker://{KUBIA}", f"docker://{name}")  # fmt: skip
    options = (f"--cert-dir={secured.cert_dir}", f"--authfile={secured.authfile()}")
    assert machine.sampan("image", "pull", *options, name) == f"pulled {name}\n"
    assert machine.sampan("image", "push", *options, name) == f"pushed {name}\n"
    wrong = refused(machine, "image", "push", options[0], f"--authfile={secured.authfile('guess')}", name)
    assert f"{secured.name} refused" in wrong
    assert "skopeo login" in wrong
    untrusted = refused(machine, "image", "push", options[1], name)
    assert "--cert-dir" in untrusted
    machine.sampan("image", "rm", name)


def test_pod_pulls_with_its_image_pull_secret(machine, secured, start):
    name = f"{secured.name}/private:1"
    machine.run("skopeo", "copy", "-q", f"--dest-cert-dir={secured.cert_dir}", f"--dest-authfile={secured.authfile()}",
                "--src-tls-verify=false", f"docker://{KUBIA}", f"docker://{name}")  # fmt: skip
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
              "type": "kubernetes.io/dockerconfigjson",
              "stringData": {".dockerconfigjson": json.dumps(secured.credentials())}}  # fmt: skip
    machine.kubectl("create", "-f", "-", stdin=json.dumps(secret))
    start("without", name)
    start("with", name, secret="login")
    until(lambda: is_running(machine, "with"), "the pod with the secret")
    until(lambda: waiting(machine, "without").get("reason") == "ImagePullBackOff", "the pod without it to back off")
    machine.kubectl("delete", "secret", "login")


def test_image_that_cannot_be_pulled_is_told_and_tried_again(machine, secured, start):
    name = f"{secured.name}/missing:1"
    start("missing", name)
    seen = set()

    def backs_off():
        seen.add(waiting(machine, "missing").get("reason"))
        return "ImagePullBackOff" in seen

    until(backs_off, "the back-off")
    state = waiting(machine, "missing")
    assert state["message"].startswith(f'Back-off pulling image "{name}": ErrImagePull: ')
    found = until(lambda: len(one := events(machine, "missing")) >= 6 and one, "the events")
    assert ("Normal", "Pulling", f'Pulling image "{name}"') in found
    failed = [message for kind, reason, message in found if (kind, reason) == ("Warning", "Failed")]
    assert any(re.match(rf'Failed to pull image "{re.escape(name)}": .*', one) for one in failed)
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= set(failed)
    assert ("Normal", "BackOff", f'Back-off pulling image "{name}"') in found


def test_registry_with_tokens_works_for_push_and_for_pods(machine, folder, start):
    with (
        TokenServer(machine.host, 5480, folder) as tokens,
        Registry(machine.host, 5544, folder / "tokens", token_realm=tokens.url) as registry,
    ):
        trust(machine, registry)
        name = f"{registry.name}/kubia:1"
        machine.run("skopeo", "copy", "-q", f"--dest-cert-dir={registry.cert_dir}",
                    f"--dest-authfile={registry.authfile()}", "--src-tls-verify=false", f"docker://{KUBIA}",
                    f"docker://{name}")  # fmt: skip
        granted = tokens.granted
        assert granted >= 1
        options = (f"--cert-dir={registry.cert_dir}", f"--authfile={registry.authfile()}")
        machine.sampan("image", "pull", *options, name)
        machine.sampan("image", "push", *options, name)
        machine.sampan("image", "rm", name)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token-login"},
                  "type": "kubernetes.io/dockerconfigjson",
                  "stringData": {".dockerconfigjson": json.dumps(registry.credentials())}}  # fmt: skip
        machine.kubectl("create", "-f", "-", stdin=json.dumps(secret))
        before = tokens.granted
        start("tokens", name, secret="token-login")
        until(lambda: is_running(machine, "tokens"), "the pod")
        assert tokens.granted > before
        machine.kubectl("delete", "secret", "token-login")
