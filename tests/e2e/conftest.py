"""Fixtures of the end-to-end tests: one cluster on a host of its own for all tests of the walkthrough."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.e2e.hosts import Lan, leftovers
from tests.e2e.machine import KUBIA, ROOT, Machine


def pytest_collection_modifyitems(items):
    """End-to-end tests need root; elsewhere they are skipped with the reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.skip(reason="needs root: containers and network namespaces"))


@pytest.fixture(scope="session")
def lan():
    with Lan() as network:
        yield network


@pytest.fixture(scope="session")
def machine(lan, tmp_path_factory):
    """A running cluster with the example image in its registry. Nothing of it may be left afterwards."""
    data_dir = tmp_path_factory.mktemp("cluster") / "data"
    machine = Machine(lan.host("a"), data_dir)
    try:
        machine.up()
        busybox = ROOT / "examples" / "kubia" / "rootfs" / "bin" / "busybox"
        if not busybox.exists():
            shutil.copy2("/bin/busybox", busybox)
        machine.sampan("image", "build", "-t", KUBIA, str(ROOT / "examples" / "kubia"))
        machine.sampan("image", "push", KUBIA)
        yield machine
    finally:
        machine.sampan("down", "--purge", check=False)
    assert leftovers(str(data_dir)) == []
