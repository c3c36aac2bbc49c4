"""Directories of provisioned volumes: removed with their volume when its policy says so, never otherwise."""

import asyncio
from contextlib import asynccontextmanager

from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.informer import InformerFactory
from sampan.client.resources import PERSISTENTVOLUMES
from sampan.kubelet.volumes.localpath import LocalPathKeeper, make, root
from sampan.testing.fake import FakeTransport


def volume(name, path, policy):
    metadata = {
        "name": name,
        "labels": {"sampan.io/local-path-node": "n1"},
        "annotations": {"pv.kubernetes.io/provisioned-by": "sampan.io/local-path"},
    }
    spec = {"hostPath": {"path": str(path)}, "persistentVolumeReclaimPolicy": policy}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


@asynccontextmanager
async def keeping(api, clock, folder):
    informers = InformerFactory(Client(api), clock=clock)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(informers.run())]
        running.append(group.create_task(LocalPathKeeper(folder, "n1", informers).run()))
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_only_volumes_to_be_deleted_lose_their_directory(tmp_path):
    clock = FakeClock()
    api = FakeTransport(clock)
    folder = root(tmp_path)
    paths = {name: folder / name for name in ("gone", "kept", "later")}
    for name, path in paths.items():
        make(path)
        assert path.stat().st_mode & 0o777 == 0o777
        api.add(PERSISTENTVOLUMES, volume(name, path, "Retain" if name == "kept" else "Delete"))
    outside = tmp_path / "outside"
    outside.mkdir()
    api.add(PERSISTENTVOLUMES, volume("outside", outside, "Delete"))
    async with keeping(api, clock, tmp_path):
        await until((folder / "policies.json").exists)
        for name in ("gone", "kept", "outside"):
            api.remove(PERSISTENTVOLUMES, "", name)
        await until(lambda: not paths["gone"].exists())
    assert paths["kept"].exists()
    assert outside.exists()
    api.remove(PERSISTENTVOLUMES, "", "later")  # while the agent is away
    async with keeping(api, clock, tmp_path):
        await until(lambda: not paths["later"].exists())
    assert paths["kept"].exists()
