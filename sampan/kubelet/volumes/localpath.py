"""The directories of volumes that the built-in provisioner gave to this node.

The node names the directory in which they lie by an annotation of its Node, makes each volume's own when the first pod
mounts it, and removes it when its PersistentVolume is gone, if the volume's policy was Delete. Which policy each had is
kept in a file, so that volumes deleted while the agent was away are removed as well, and retained ones never are.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import orjson

from sampan.api.object import annotations_of
from sampan.api.volumes import LOCAL_PATH, LOCAL_PATH_NODE, PROVISIONED_BY
from sampan.base.log import logger
from sampan.client.resources import PERSISTENTVOLUMES

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.client.informer import InformerFactory
    from sampan.client.interface import Stored

_log = logger("kubelet.volumes")
_FOLDER = "local-path"
_POLICIES = "policies.json"


def root(data_dir: Path) -> Path:
    """Where the volumes of a node lie. data_dir: the kubelet's."""
    return data_dir / _FOLDER


def is_provisioned(volume: Object) -> bool:
    """Whether the built-in provisioner made a volume."""
    return annotations_of(volume).get(PROVISIONED_BY) == LOCAL_PATH


def make(path: Path) -> None:
    """Make a volume's directory; any user of a container may write to it."""
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o777)


class LocalPathKeeper:
    """Removes what nobody claims any more. informers: a running factory."""

    def __init__(self, data_dir: Path, node_name: str, informers: InformerFactory) -> None:
        self._root = root(data_dir)
        self._informer = informers.informer(PERSISTENTVOLUMES, label_selector=f"{LOCAL_PATH_NODE}={node_name}")
        self._policies: dict[str, str] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the volumes until cancelled."""
        await self._informer.wait_synced()
        self._policies = self._read()
        self._informer.add_handler(self._on_volume)
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._collect()

    def _on_volume(self, _: Stored | None, __: Stored | None) -> None:
        self._changed.set()

    async def _collect(self) -> None:
        """Note the policies of the volumes there are; remove those that are gone and were to be deleted."""
        present = {item.object["spec"]["hostPath"]["path"]: item.object for item in self._ours()}
        for path in [path for path in self._policies if path not in present]:
            if self._policies[path] == "Delete":
                await self._remove(path)
            del self._policies[path]
        fresh = {path: one["spec"].get("persistentVolumeReclaimPolicy", "") for path, one in present.items()}
        if fresh != self._read():
            self._write(fresh)
        self._policies = fresh

    def _ours(self) -> list[Stored]:
        """Volumes below the node's own directory: a label is no reason to delete anything else."""
        return [
            item
            for item in self._informer.list()
            if is_provisioned(item.object)
            and (item.object["spec"].get("hostPath") or {}).get("path", "").rpartition("/")[0] == str(self._root)
        ]

    async def _remove(self, path: str) -> None:
        target = self._root / path.rpartition("/")[2]
        if target.is_dir() and not target.is_symlink():
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            _log.info("Volume removed", path=path)

    def _read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = orjson.loads((self._root / _POLICIES).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _write(self, policies: dict[str, str]) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        scratch = self._root / f".{_POLICIES}"
        scratch.write_bytes(orjson.dumps(policies))
        scratch.replace(self._root / _POLICIES)
