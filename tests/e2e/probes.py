"""Pods that look around from inside: a busybox image, many pods at once, their ends and logs."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.machine import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.machine import Machine

IMAGE = "localhost:5000/probe"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"
_GROUP = "root:x:0:\nstaff:x:50000:alice\n"


class Probes:
    """Probe pods in a namespace of their own."""

    def __init__(self, machine: Machine, namespace: str, folder: Path) -> None:
        self.machine = machine
        self.namespace = namespace
        self._build(folder)
        self.kubectl("create", "namespace", namespace, in_namespace=False)
        until(lambda: self.kubectl("get", "serviceaccount", "default"), "default ServiceAccount")

    def _build(self, folder: Path) -> None:
        binaries = folder / "rootfs" / "bin"
        (folder / "rootfs" / "etc").mkdir(parents=True)
        (folder / "rootfs" / "tmp").mkdir()
        binaries.mkdir()
        shutil.copy2("/bin/busybox", binaries / "busybox")
        applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                (binaries / applet).symlink_to("busybox")
        (folder / "rootfs" / "etc" / "passwd").write_text(_PASSWD)
        (folder / "rootfs" / "etc" / "group").write_text(_GROUP)
        dockerfile = 'FROM scratch\nCOPY rootfs/ /\nENTRYPOINT ["/bin/sh", "-c"]\nCMD ["echo from the image"]\n'
        (folder / "Dockerfile").write_text(dockerfile)
        self.machine.sampan("image", "build", "-t", IMAGE, str(folder))
        self.machine.sampan("image", "push", IMAGE)

    def kubectl(self, *argv: str, check: bool = True, stdin: str | None = None, in_namespace: bool = True) -> str:
        scope = ("-n", self.namespace) if in_namespace else ()
        return self.machine.kubectl(*scope, *argv, check=check, stdin=stdin)

    def get(self, *argv: str) -> dict:
        return self.machine.get(*argv, "-n", self.namespace)

    def create(self, *objects: dict) -> None:
        """Create objects in one go."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("create", "-f", "-", stdin=json.dumps(items))

    def finished(self, *pods: dict) -> tuple[dict[str, dict], dict[str, str]]:
        """Create pods and wait for their end: the pods and their logs by name."""
        self.create(*pods)
        names = [pod["metadata"]["name"] for pod in pods]

        def ended() -> dict[str, dict] | None:
            found = {item["metadata"]["name"]: item for item in self.get("pods")["items"]}
            done = all(found[name].get("status", {}).get("phase") in ("Succeeded", "Failed") for name in names)
            return found if done else None

        found = until(ended, f"the end of {', '.join(names)}", seconds=60)
        assert isinstance(found, dict)
        return found, {name: self.kubectl("logs", name, "-c", "c") for name in names}

    def running(self, *pods: dict) -> dict[str, dict]:
        """Create pods and wait until they are ready."""
        self.create(*pods)
        names = [pod["metadata"]["name"] for pod in pods]

        def ready() -> dict[str, dict] | None:
            found = {item["metadata"]["name"]: item for item in self.get("pods")["items"]}
            return found if all(_is_ready(found[name]) for name in names) else None

        found = until(ready, f"{', '.join(names)} ready", seconds=60)
        assert isinstance(found, dict)
        return found

    def remove(self) -> None:
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", in_namespace=False)


def _is_ready(pod: dict) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pod(
    name: str, script: str | None, *, container: dict | None = None, metadata: dict | None = None, **spec: object
) -> dict:
    """A pod with one container "c" that runs a shell script (None: what the image says) and is not restarted."""
    main = {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", **(container or {})}
    if script is not None:
        main["command"] = ["sh", "-c", script]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main], **spec},
    }


def mounted(source: dict, path: str = "/v", **mount: object) -> dict:
    """The parts of a pod that mount one volume: for ``pod(..., **mounted(...))``."""
    return {
        "volumes": [{"name": "v", **source}],
        "container": {"volumeMounts": [{"name": "v", "mountPath": path, **mount}]},
    }
