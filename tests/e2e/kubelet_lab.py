"""A node on real containers for one test: API server in this process, kubelet, a private containerd, a bridge network.

Everything is made below a directory of the test and removed by it. The image holds busybox, so no network is needed.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.api.errors import NotFound
from sampan.apiserver.proxy import NodeConnector
from sampan.apiserver.proxy.kubelets import KubeletCredentials
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base.clock import RealClock
from sampan.client.client import Client
from sampan.client.config import ClientConfig
from sampan.client.https import HTTPSTransport
from sampan.client.resources import CONFIGMAPS, PODS, SERVICEACCOUNTS
from sampan.kubelet import containerd
from sampan.kubelet.agent import Kubelet
from sampan.kubelet.cgroups import PodCgroups
from sampan.kubelet.cri import CRIRuntime
from sampan.kubelet.options import KubeletOptions
from sampan.kubelet.pauseimage import pause_archive
from sampan.kubelet.volumes import mounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

IMAGE = "localhost/test/busybox:1"
_BUSYBOX = Path("/bin/busybox")


def is_possible() -> bool:
    return os.geteuid() == 0 and all(shutil.which(p) for p in ("containerd", "ctr", "runc")) and _BUSYBOX.exists()


def busybox_archive() -> bytes:
    """An image with busybox and all its names, as a docker archive."""
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    rootfs = io.BytesIO()
    with tarfile.open(fileobj=rootfs, mode="w") as tar:
        for name in ("bin", "tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        tar.add(_BUSYBOX, "bin/busybox")
        for applet in applets:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if applet != "busybox":
                tar.addfile(link)
    layer = rootfs.getvalue()
    digest = sha256(layer).hexdigest()
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in (
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


class Containerd:
    """A private containerd."""

    def __init__(self, root: Path) -> None:
        self.tag = secrets.token_hex(3)
        self.root = root
        self.bridge = f"kt{self.tag}"
        self.options = containerd.ContainerdOptions(
            directory=root / "containerd", state=root / "run", cni_conf_dir=root / "cni"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.options.socket)

    def start(self) -> None:
        containerd.write_config(self.options)
        subnet = f"10.213.{int(self.tag[:2], 16)}.0/24"
        ipam = {"type": "host-local", "dataDir": str(self.root / "ipam"), "ranges": [[{"subnet": subnet}]]}
        ipam["routes"] = [{"dst": "0.0.0.0/0"}]
        bridge = {"type": "bridge", "bridge": self.bridge, "isGateway": True, "ipam": ipam}
        conf = {"cniVersion": "0.4.0", "name": self.bridge, "plugins": [bridge]}
        (self.root / "cni" / "10-test.conflist").write_text(json.dumps(conf))
        log = (self.root / "containerd.log").open("ab")
        self.options.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(containerd.argv(self.options), stdout=log, stderr=log, start_new_session=True)
        log.close()
        end = time.monotonic() + 20
        while self.ctr("version", check=False).returncode:
            assert time.monotonic() < end, (self.root / "containerd.log").read_text()
            assert self.process.poll() is None, (self.root / "containerd.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def ctr(self, *argv: str, stdin: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        command = ["ctr", "--address", self.socket, "--namespace", "k8s.io", *argv]
        return subprocess.run(command, input=stdin, capture_output=True, check=check, timeout=30)

    def load(self, archive: bytes) -> None:
        self.ctr("images", "import", "-", stdin=archive)

    def signal(self, container_id: str, number: int) -> None:
        self.ctr("task", "kill", "--signal", str(number), container_id.partition("://")[2])

    def close(self) -> None:
        for container_id in self.ctr("containers", "list", "--quiet").stdout.decode().split():
            self.ctr("task", "delete", "--force", container_id, check=False)
            self.ctr("containers", "delete", container_id, check=False)
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True, check=False)
        for point in mounts.mounted_below(self.root):
            mounts.unmount(point)
        PodCgroups(f"/test-{self.tag}").clean()


@contextmanager
def private_containerd(root: Path) -> Iterator[Containerd]:
    """Start a containerd with the test's images; leave nothing of it."""
    daemon = Containerd(root)
    daemon.start()
    try:
        daemon.load(pause_archive())
        daemon.load(busybox_archive())
        yield daemon
    finally:
        daemon.close()


@dataclass
class Lab:
    """A running node, and an administrator's client."""

    api: APIServer
    client: Client
    node_client: Client
    options: KubeletOptions
    containerd: Containerd
    kubeconfig: Path
    group: asyncio.TaskGroup
    kubelet: asyncio.Task[None] | None = None
    runtime: CRIRuntime | None = None

    async def start_kubelet(self) -> None:
        clock = RealClock()
        self.runtime = CRIRuntime(self.options.runtime_endpoint, clock)
        agent = Kubelet(self.options, self.node_client, self.runtime, clock)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.kubelet = self.group.create_task(agent.run(ready.set_result))
        async with asyncio.timeout(20):
            await asyncio.wait({ready, self.kubelet}, return_when=asyncio.FIRST_COMPLETED)
        await ready

    async def stop_kubelet(self) -> None:
        assert self.kubelet is not None
        self.kubelet.cancel()
        await asyncio.wait({self.kubelet})
        assert self.runtime is not None
        await self.runtime.close()

    async def create(self, name: str, command: str, **spec: Any) -> None:
        container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", command], **spec.pop("container", {})}
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": "n1",
                "serviceAccountName": "default",
                "terminationGracePeriodSeconds": 2,
                "containers": [container],
                **spec,
            },
        }
        await self.client.resource(PODS, "default").create(pod)

    async def wait(self, name: str, condition: Callable[[Any], Any], *, seconds: float = 30) -> Any:
        """Read the pod until the condition holds."""
        pods = self.client.resource(PODS, "default")
        end = time.monotonic() + seconds
        while True:
            pod = await pods.get(name)
            if condition(pod):
                return pod
            assert time.monotonic() < end, json.dumps(pod["status"], indent=1)
            await asyncio.sleep(0.005)

    async def ready(self, name: str) -> Any:
        return await self.wait(name, is_ready)

    async def delete(self, *names: str) -> None:
        pods = self.client.resource(PODS, "default")
        for name in names:
            await pods.delete(name)
        for name in names:
            end = time.monotonic() + 30
            while True:
                try:
                    await pods.get(name)
                except NotFound:
                    break
                assert time.monotonic() < end, name
                await asyncio.sleep(0.01)

    async def wait_clean(self) -> None:
        """Return when the kubelet has removed all that pods had: a terminal pod's object goes before its remains."""
        end = time.monotonic() + 30
        while any((self.options.data_dir / "pods").glob("*")) or any(self.options.log_dir.glob("*")):
            assert time.monotonic() < end, list((self.options.data_dir / "pods").iterdir())
            await asyncio.sleep(0.01)

    async def run(self, *argv: str, stdin: bytes = b"", seconds: float = 30) -> tuple[int, str]:
        """Run a program with the cluster's kubeconfig."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "GRPC_VERBOSITY": "NONE"},
        )
        try:
            async with asyncio.timeout(seconds):
                output, _ = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


def is_ready(pod: Any) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def first(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]


@asynccontextmanager
async def lab(daemon: Containerd, root: Path) -> AsyncIterator[Lab]:
    """Start API server and kubelet; end the test's pods and both of them."""
    api = APIServer(ServerOptions(), RealClock())
    pair = api.credentials.kubelet_client()
    connector = NodeConnector(KubeletCredentials(ca=api.ca, certificate=pair.certificate, key=pair.key))
    api.connector = connector
    async with api, asyncio.TaskGroup() as group:
        url = api.url
        admin, node = (
            api.credentials.administrator(),
            api.credentials.ca.issue("system:node:n1", organizations=["system:nodes"]),
        )
        transports = [
            HTTPSTransport(ClientConfig(server=url, ca=api.ca, certificate=p.certificate, key=p.key))
            for p in (admin, node)
        ]
        client, node_client = (Client(transport) for transport in transports)
        options = KubeletOptions(
            node_name="n1", node_ips=["127.0.0.1"], data_dir=root, runtime_endpoint=daemon.socket, kubelet_port=0,
            bind_address="127.0.0.1", cgroup_root=f"/test-{daemon.tag}", cluster_ca=api.ca,
        )  # fmt: skip
        serving = api.credentials.ca.issue("system:node:n1", names=["127.0.0.1"], usages=("server auth",))
        options.pki_dir.mkdir(parents=True)
        (options.pki_dir / "kubelet-server.crt").write_bytes(serving.certificate)
        (options.pki_dir / "kubelet-server.key").write_bytes(serving.key)
        made = Lab(api, client, node_client, options, daemon, _kubeconfig(root, url, api.ca, admin), group)
        await _create_basics(client)
        await made.start_kubelet()
        try:
            yield made
            left = await client.resource(PODS, "default").list()
            await made.delete(*(item.name for item in left.items))
            await made.wait_clean()
        finally:
            await made.stop_kubelet()
            for point in mounts.mounted_below(root):
                mounts.unmount(point)
            await connector.close()
            for transport in transports:
                await transport.close()


async def _create_basics(client: Client) -> None:
    meta = {"namespace": "default"}
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", **meta}}
    await client.resource(SERVICEACCOUNTS, "default").create(account)
    ca = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "kube-root-ca.crt", **meta}}
    await client.resource(CONFIGMAPS, "default").create({**ca, "data": {"ca.crt": "test"}})


def _kubeconfig(root: Path, url: str, ca: bytes, pair: Any) -> Path:
    def encode(data: bytes) -> str:
        return base64.b64encode(data).decode()

    user = {"client-certificate-data": encode(pair.certificate), "client-key-data": encode(pair.key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "t",
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "clusters": [{"name": "t", "cluster": {"server": url, "certificate-authority-data": encode(ca)}}],
        "users": [{"name": "t", "user": user}],
    }
    path = root / "kubeconfig"
    path.write_text(json.dumps(config))
    return path
