"""Image archives: which images a docker or OCI archive (or OCI layout folder) holds."""

from __future__ import annotations

import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_INDEX_LIMIT = 8 * 2**20


class ArchiveError(SampanError):
    """Not an image archive."""


@contextmanager
def open_archive(path: Path, scratch: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a tar file of the archive and the names of the images in it; a layout folder is packed under scratch."""
    if not path.is_dir():
        yield path, archive_names(path)
        return
    if not (path / "index.json").exists():
        raise ArchiveError(f"{path} is not an OCI layout: it has no index.json")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="image-") as folder:
        packed = Path(folder) / "layout.tar"
        with tarfile.open(packed, "w") as tar:
            for child in sorted(path.iterdir()):
                tar.add(child, arcname=child.name)
        yield packed, archive_names(packed)


def archive_names(path: Path) -> list[str]:
    """The image names in an archive, as written there. Raises ArchiveError."""
    try:
        with tarfile.open(path) as tar:
            documents = {}
            for member in tar:
                name = member.name.removeprefix("./")
                if name in {"manifest.json", "index.json"} and member.size <= _INDEX_LIMIT:
                    file = tar.extractfile(member)
                    documents[name] = orjson.loads(file.read()) if file else None
    except (tarfile.TarError, ValueError) as error:
        raise ArchiveError(f"{path} is not an image archive: {error}") from error
    if not documents:
        raise ArchiveError(f"{path} is not an image archive: it has neither manifest.json nor index.json")
    names: list[str] = []
    for manifest in documents.get("manifest.json") or []:
        names += manifest.get("RepoTags") or []
    for manifest in (documents.get("index.json") or {}).get("manifests", []):
        annotations = manifest.get("annotations") or {}
        names += [annotations[key] for key in _NAME_ANNOTATIONS if key in annotations][:1]
    return list(dict.fromkeys(names))
