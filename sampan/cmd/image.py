"""`sampan image`: images in this node's containerd, and their way to and from registries and archives.

Each step is left to the program that is best at it: buildah builds, skopeo talks to registries (credentials from the
login files of docker, podman, skopeo and buildah; certificates from --cert-dir), ``ctr`` imports and exports.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sampan.base.clock import RealClock
from sampan.base.errors import SampanError
from sampan.cmd.archive import open_archive
from sampan.cmd.cli import data_dir_option, option
from sampan.cmd.imagename import full_name, registry_of
from sampan.cmd.node import NodeLayout, node_of
from sampan.cmd.registryerror import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from sampan.cmd.cluster import ClusterDirectory
    from sampan.kubelet.cri import CRIRuntime

_NAMESPACE = "k8s.io"
"""containerd's namespace of everything that CRI sees."""
_LOCAL_REGISTRY = "localhost:5000"
T = TypeVar("T")


class ImageError(SampanError):
    """An image command failed; the message holds the program's own last words."""


@click.group()
def image() -> None:
    """Build, push, pull, load, save, list and remove images."""


def _registry_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = option("--tls-verify/--no-tls-verify", default=True, help="Insist on a valid certificate.")(function)
    function = option(
        "--cert-dir", type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Folder with ca.crt (and client.cert, client.key) of the registry.",
    )(function)  # fmt: skip
    return option(
        "--authfile", type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Credentials, as `skopeo login` and `docker login` write them. [default: theirs]",
    )(function)  # fmt: skip


@image.command()
@data_dir_option
@click.option("-t", "--tag", required=True, help="Name of the image, e.g. localhost:5000/kubia.")
@click.option("-f", "--file", "dockerfile", help="The Dockerfile. [default: Dockerfile in the folder]")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Value of an ARG; may be repeated.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def build(
    directory: ClusterDirectory, tag: str, dockerfile: str | None, arguments: tuple[str, ...], folder: Path
) -> None:
    """Build an image from a Dockerfile in FOLDER, into this node's store."""
    node, name = node_of(directory), full_name(tag)
    storage = ["--root", str(node.root / "buildah"), "--runroot", str(node.state / "buildah")]
    buildah = [_program("buildah", "buildah"), *storage]
    options = ["--isolation=chroot", "--format=docker", "--tls-verify=false", f"--tag={name}"]
    options += [f"--build-arg={one}" for one in arguments]
    options += [f"--file={dockerfile}"] if dockerfile else []
    with _temporary_archive(node) as archive:
        subprocess_run([*buildah, "build", *options, str(folder)], show=True)
        subprocess_run([*buildah, "push", "--quiet", name, f"docker-archive:{archive}:{name}"])
        subprocess_run([*buildah, "rmi", "--force", name])
        _import(node, archive, base_name="")
    click.echo(f"built {name}")


@image.command()
@data_dir_option
@_registry_options
@click.argument("name")
def push(directory: ClusterDirectory, name: str, **registry: Any) -> None:
    """Push an image of this node's store to the registry in its NAME."""
    node, full = node_of(directory), full_name(name)
    with _temporary_archive(node) as archive:
        _export(node, archive, [full])
        target = f"docker://{_reachable(directory, full)}"
        _skopeo_copy(full, *_skopeo_options("dest", full, registry), f"oci-archive:{archive}", target)
    click.echo(f"pushed {full}")


@image.command()
@data_dir_option
@_registry_options
@click.argument("name")
def pull(directory: ClusterDirectory, name: str, **registry: Any) -> None:
    """Pull an image into this node's store."""
    node, full = node_of(directory), full_name(name)
    with _temporary_archive(node) as archive:
        source = f"docker://{_reachable(directory, full)}"
        _skopeo_copy(full, *_skopeo_options("src", full, registry), source, f"oci-archive:{archive}:{full}")
        _import(node, archive, base_name="")
    click.echo(f"pulled {full}")


@image.command()
@data_dir_option
@click.option("--name", default="", help="Name for images that carry none, e.g. of an OCI layout with a bare tag.")
@click.argument("archive", type=click.Path(exists=True, path_type=Path))
def load(directory: ClusterDirectory, name: str, archive: Path) -> None:
    """Load images from a docker or OCI ARCHIVE (or OCI layout folder); usable by name at once."""
    node = node_of(directory)
    with open_archive(archive, node.root) as (path, names):
        if not name and not all(_is_full(one) for one in names or [""]):
            raise ImageError(f"{archive} names no image; give one: sampan image load --name NAME {archive}")
        base = full_name(name) if name else ""
        loaded = _import(node, path, base_name=base)
        for one in loaded:
            click.echo(f"loaded {one}")


@image.command()
@data_dir_option
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The archive to write.")
@click.argument("names", nargs=-1, required=True)
def save(directory: ClusterDirectory, output: Path, names: tuple[str, ...]) -> None:
    """Save images to an archive that docker, podman, skopeo and `sampan image load` read."""
    _export(node_of(directory), output, [full_name(one) for one in names])
    click.echo(f"saved {output}")


@image.command("list")
@data_dir_option
def list_images(directory: ClusterDirectory) -> None:
    """List this node's images."""
    images = _with_runtime(node_of(directory), lambda runtime: runtime.list_images())
    rows = [("IMAGE", "TAG", "IMAGE ID", "SIZE")]
    for one in images:
        identity = one.id.removeprefix("sha256:")[:13]
        for tag in one.tags or ["<none>:<none>"]:
            repository, _, version = tag.rpartition(":")
            rows.append((repository, version, identity, f"{one.size / 1e6:.1f}MB"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows[:1] + sorted(rows[1:]):
        click.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@image.command()
@data_dir_option
@click.argument("names", nargs=-1, required=True)
def rm(directory: ClusterDirectory, names: tuple[str, ...]) -> None:
    """Remove images from this node's store."""
    node = node_of(directory)
    for name in names:
        full = full_name(name)
        _with_runtime(node, partial(_remove, full))
        click.echo(f"removed {full}")


async def _remove(full: str, runtime: CRIRuntime) -> None:
    if await runtime.image_status(full) is None:
        raise ImageError(f'no image "{full}" on this node; `sampan image list` shows what is there')
    await runtime.remove_image(full)


def subprocess_run(argv: Sequence[str], *, show: bool = False) -> str:
    """Run a program and return its output; raises ImageError with its last lines. show: let its output through."""
    if show:
        result = subprocess.run(argv, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    else:
        result = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ImageError(_failure(argv[0], result))
    return result.stdout or ""


def _failure(program: str, result: subprocess.CompletedProcess[str]) -> str:
    words = "\n".join((result.stderr or result.stdout or "").strip().splitlines()[-5:])
    return f"{Path(program).name} failed (exit code {result.returncode}):\n{words}"


def _is_full(name: str) -> bool:
    """Whether a name in an archive is more than a bare tag, which is all that an OCI layout must give."""
    return "/" in name or ":" in name


def _skopeo_copy(full: str, *arguments: str) -> None:
    program = _program("skopeo", "skopeo")
    result = subprocess.run([program, "copy", *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        known = explain(result.stderr, registry_of(full))
        raise ImageError(known or _failure(program, result))


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ImageError(f"{name} is not installed: apt-get install {package}")
    return path


def _ctr(node: NodeLayout) -> list[str]:
    if not node.containerd_socket.exists():
        raise ImageError("containerd does not run here; `sampan up` starts it")
    return [_program("ctr", "containerd"), f"--address={node.containerd_socket}", f"--namespace={_NAMESPACE}", "images"]


def _import(node: NodeLayout, archive: Path, *, base_name: str) -> list[str]:
    """Import an archive, give every image its full name, and wait until CRI knows it. Returns the names."""
    command = [*_ctr(node), "import", "--all-platforms"]
    if base_name:
        command.append(f"--base-name={base_name.rpartition(':')[0]}")
    output = subprocess_run([*command, str(archive)])
    names = []
    for line in output.splitlines():
        if not line.startswith("unpacking "):
            continue
        name = line.split()[1]
        full = full_name(name)
        if full != name:
            subprocess_run([*_ctr(node), "tag", "--force", name, full])
        names.append(full)
    asyncio.run(_wait_known(node, names))
    return names


def _export(node: NodeLayout, archive: Path, names: list[str]) -> None:
    present = {tag for one in _with_runtime(node, lambda runtime: runtime.list_images()) for tag in one.tags}
    for name in names:
        if name not in present:
            raise ImageError(f'no image "{name}" on this node; `sampan image build` or `sampan image pull` brings it')
    try:
        subprocess_run([*_ctr(node), "export", str(archive), *names])
    except ImageError as error:
        if "not found" not in str(error):
            raise
        # containerd fetches no layers whose unpacked form is there, and cannot export what it did not fetch
        listed = " and ".join(f"`sampan image pull {name}`" for name in names)
        raise ImageError(
            f"this node has only the unpacked layers; {listed} fetches the others, then try again"
        ) from error


async def _wait_known(node: NodeLayout, names: list[str]) -> None:
    """CRI learns of imported images through events, a moment later."""
    runtime = _runtime(node)
    try:
        async with asyncio.timeout(10):
            for name in names:
                while await runtime.image_status(name) is None:  # noqa: ASYNC110 - CRI has no image events
                    await asyncio.sleep(0.02)
    except TimeoutError:
        raise ImageError(
            f"containerd did not take up {', '.join(names)} within 10 s; see `sampan logs containerd`"
        ) from None
    finally:
        await runtime.close()


def _with_runtime(node: NodeLayout, call: Callable[[CRIRuntime], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        runtime = _runtime(node)
        try:
            return await call(runtime)
        finally:
            await runtime.close()

    return asyncio.run(run())


def _runtime(node: NodeLayout) -> CRIRuntime:
    from sampan.kubelet.cri import CRIRuntime  # noqa: PLC0415 - grpc takes a tenth of a second

    if not node.containerd_socket.exists():
        raise ImageError("containerd does not run here; `sampan up` starts it")
    return CRIRuntime(str(node.containerd_socket), RealClock())


def _reachable(directory: ClusterDirectory, full: str) -> str:
    """localhost:5000 means this cluster's own registry, whichever port it got."""
    config = directory.load()
    if config is None or registry_of(full) != _LOCAL_REGISTRY:
        return full
    return f"localhost:{config.registry_port}/{full.partition('/')[2]}"


def _skopeo_options(side: str, full: str, registry: dict[str, Any]) -> list[str]:
    local = registry_of(full).partition(":")[0] in {"localhost", "127.0.0.1"}
    options = ["--quiet", f"--{side}-tls-verify={'false' if local or not registry['tls_verify'] else 'true'}"]
    if registry["cert_dir"]:
        options = ["--quiet", f"--{side}-tls-verify=true", f"--{side}-cert-dir={registry['cert_dir']}"]
    if registry["authfile"]:
        options.append(f"--{side}-authfile={registry['authfile']}")
    return options


@contextmanager
def _temporary_archive(node: NodeLayout) -> Iterator[Path]:
    node.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=node.root, prefix="image-") as folder:
        yield Path(folder) / "image.tar"
