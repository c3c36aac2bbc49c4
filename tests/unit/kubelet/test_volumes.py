from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest

from sampan.base.clock import FakeClock
from sampan.kubelet.volumes import VolumeManager, atomicwriter, hostpath, subpath
from sampan.kubelet.volumes.atomicwriter import File
from sampan.kubelet.volumes.errors import VolumeError
from sampan.kubelet.volumes.sources import Sources, volume_files
from tests.unit.kubelet.fakes import FakeObjects, make_pod

if TYPE_CHECKING:
    from pathlib import Path


def sources(objects: FakeObjects) -> Sources:
    return Sources(objects=objects, tokens=objects, allocatable={"cpu": "2"}, host_ips=["192.0.2.1"])


def test_files_appear_through_links_and_change_together(tmp_path: Path) -> None:
    assert atomicwriter.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}, stamp="x")
    first = (tmp_path / "..data").readlink()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "d" / "b").stat().st_mode & 0o777 == 0o600
    assert not atomicwriter.write(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}, stamp="x")
    assert atomicwriter.write(tmp_path, {"a": File(b"3", 0o644)}, stamp="x")
    assert (tmp_path / "..data").readlink() != first
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "d").is_symlink()
    assert not (tmp_path / first).exists()


@pytest.mark.parametrize("path", ["/a", "../a", "a/../../b", "..a", ""])
def test_paths_outside_the_volume_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeError):
        atomicwriter.write(tmp_path, {path: File(b"", 0o644)}, stamp="x")


async def test_config_map_items_choose_keys_paths_and_modes() -> None:
    objects = FakeObjects()
    objects.config_maps["cm"] = {"data": {"a": "1", "b": "2"}, "binaryData": {"c": base64.b64encode(b"\0").decode()}}
    pod = make_pod()
    everything = await volume_files(pod, {"name": "v", "configMap": {"name": "cm"}}, sources(objects), [])
    assert {path: file.data for path, file in everything.items()} == {"a": b"1", "b": b"2", "c": b"\0"}
    items = [{"key": "a", "path": "x/y", "mode": 0o400}]
    chosen = await volume_files(pod, {"name": "v", "configMap": {"name": "cm", "items": items}}, sources(objects), [])
    assert chosen == {"x/y": File(b"1", 0o400)}
    volume = {"name": "v", "configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}
    with pytest.raises(VolumeError, match="configmap references non-existent config key: z"):
        await volume_files(pod, volume, sources(objects), [])


async def test_optional_sources_may_be_absent() -> None:
    volume = {"name": "v", "secret": {"secretName": "none", "optional": True}}
    assert await volume_files(make_pod(), volume, sources(FakeObjects()), []) == {}
    with pytest.raises(VolumeError, match="not found"):
        await volume_files(make_pod(), {"name": "v", "secret": {"secretName": "none"}}, sources(FakeObjects()), [])


async def test_projected_volume_joins_its_sources() -> None:
    objects = FakeObjects()
    objects.config_maps["ca"] = {"data": {"ca.crt": "CA"}}
    projected = {
        "defaultMode": 0o640,
        "sources": [
            {"serviceAccountToken": {"path": "token", "audience": "x"}},
            {"configMap": {"name": "ca"}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ],
    }
    files = await volume_files(make_pod(), {"name": "v", "projected": projected}, sources(objects), [])
    assert files["token"] == File(b"token-x", 0o600 if files["token"].mode == 0o600 else 0o640)
    assert files["ca.crt"] == File(b"CA", 0o640)
    assert files["labels"].data == b'app="p"'


async def test_empty_dir_stays_as_it_is_and_goes_with_the_pod(tmp_path: Path) -> None:
    manager = VolumeManager(tmp_path, sources(FakeObjects()), FakeObjects(), FakeClock())
    pod = make_pod(volumes=[{"name": "v", "emptyDir": {}}])
    await manager.set_up(pod, [])
    path = manager.path(pod, "v")
    (path / "file").write_text("x")
    assert path.stat().st_mode & 0o777 == 0o777
    await manager.set_up(pod, [])
    assert (path / "file").exists()
    manager.tear_down("uid-p")
    assert not path.exists()
    manager.tear_down("uid-p")


async def test_failure_names_the_volume(tmp_path: Path) -> None:
    manager = VolumeManager(tmp_path, sources(FakeObjects()), FakeObjects(), FakeClock())
    pod = make_pod(volumes=[{"name": "cfg", "configMap": {"name": "none"}}])
    with pytest.raises(VolumeError, match=r'MountVolume\.SetUp failed for volume "cfg" : configmap "none" not found'):
        await manager.set_up(pod, [])


async def test_bound_claim_leads_to_its_host_path(tmp_path: Path) -> None:
    objects = FakeObjects()
    objects.claims["data"] = {"spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
    objects.volumes["pv"] = {"spec": {"hostPath": {"path": str(tmp_path / "pv"), "type": "DirectoryOrCreate"}}}
    manager = VolumeManager(tmp_path / "kubelet", sources(objects), objects, FakeClock())
    pod = make_pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    await manager.set_up(pod, [])
    assert manager.path(pod, "v") == tmp_path / "pv"


def test_host_path_must_be_what_its_type_says(tmp_path: Path) -> None:
    file = tmp_path / "file"
    hostpath.check(file, "FileOrCreate")
    assert file.is_file()
    with pytest.raises(VolumeError, match=f"hostPath type check failed: {file} is not a directory"):
        hostpath.check(file, "Directory")
    with pytest.raises(VolumeError, match="is not a socket file"):
        hostpath.check(file, "Socket")


def test_sub_path_may_not_leave_the_volume_through_a_link(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "secret").write_text("x")
    (volume / "out").symlink_to("../secret")
    (volume / "in").symlink_to("real")
    (volume / "real").mkdir()
    with pytest.raises(VolumeError, match="leaves the volume"):
        subpath._open_inside(volume, "out")
    with pytest.raises(VolumeError, match="relative path"):
        subpath._open_inside(volume, "../secret")
    descriptor = subpath._open_inside(volume, "in")
    assert os.path.samestat(os.fstat(descriptor), (volume / "real").stat())
    os.close(descriptor)
