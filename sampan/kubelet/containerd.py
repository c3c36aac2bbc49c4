"""The private containerd: its configuration file, directories and command line. The supervisor starts it.

Everything lies under the data directory, so that several instances run beside each other and beside the machine's own.
Source: containerd's docs/cri/config.md and docs/hosts.md, 1.6 and newer (config version 2 is read by 2.x as well).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.base.errors import SampanError
from sampan.kubelet.pauseimage import PAUSE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CAP_SYS_RESOURCE = 24
_HOST_REGISTRY_CONFIG = ("/etc/containerd/certs.d", "/etc/docker/certs.d")
"""Where administrators put registries' CAs and settings for containerd and docker; ours come first."""


class ContainerdMissingError(SampanError):
    """A program is not installed; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHost:
    """How to reach one registry.

    url: ``http://localhost:5000``. ca, client_certificate, client_key: PEM files. skip_verify: take any certificate.
    """

    url: str
    ca: str = ""
    client_certificate: str = ""
    client_key: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdOptions:
    """Where one private containerd lives.

    directory: holds root, configuration and registry hosts. state: run-time state and sockets, which outlive no boot.
    registries: registry name as in image references -> how to reach it.
    """

    directory: Path
    state: Path
    cni_conf_dir: Path
    cni_bin_dirs: Sequence[Path] = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
    registries: Mapping[str, RegistryHost] = field(default_factory=dict)
    sandbox_image: str = PAUSE_IMAGE

    @property
    def socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def config_file(self) -> Path:
        return self.directory / "config.toml"


def write_config(options: ContainerdOptions) -> Path:
    """Write config.toml and the registry host files; return the configuration's path. Idempotent."""
    for directory in (options.directory, options.directory / "root", options.state, options.cni_conf_dir):
        directory.mkdir(parents=True, exist_ok=True)
    hosts = options.directory / "certs.d"
    write_registry_hosts(hosts, options.registries)
    options.config_file.write_text(_toml(_config(options, hosts)))
    return options.config_file


def argv(options: ContainerdOptions) -> list[str]:
    """Return containerd's command line. Raises ContainerdMissingError."""
    program = shutil.which("containerd")
    if program is None:
        raise ContainerdMissingError("containerd is not installed: apt-get install containerd runc")
    return [program, "--config", str(options.config_file)]


def lacks_sys_resource() -> bool:
    """Tell whether this process may not lower oom_score_adj; sandboxes then die unless containerd is told."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return not int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1
    return False


def _config(options: ContainerdOptions, hosts: Path) -> dict[str, Any]:
    bin_dir = next((path for path in options.cni_bin_dirs if path.is_dir()), options.cni_bin_dirs[0])
    cri: dict[str, Any] = {
        "sandbox_image": options.sandbox_image,
        "stream_server_address": "127.0.0.1",
        "stream_server_port": "0",
        "restrict_oom_score_adj": lacks_sys_resource(),
        "disable_apparmor": not os.path.isdir("/sys/kernel/security/apparmor"),  # noqa: PTH112
        "tolerate_missing_hugetlb_controller": True,
        "disable_hugetlb_controller": True,
        # Namespaces under our own state directory: nothing of ours is left in /run/netns.
        "netns_mounts_under_state_dir": True,
        "enable_unprivileged_ports": True,
        "enable_unprivileged_icmp": True,
        "max_container_log_line_size": 16384,
        "cni": {"bin_dir": str(bin_dir), "conf_dir": str(options.cni_conf_dir), "max_conf_num": 1},
        "registry": {"config_path": ":".join([str(hosts), *_HOST_REGISTRY_CONFIG])},
        "containerd": {
            "default_runtime_name": "runc",
            "snapshotter": "overlayfs",
            "runtimes": {
                "runc": {
                    "runtime_type": "io.containerd.runc.v2",
                    "options": {"SystemdCgroup": False, "Root": str(options.state / "runc")},
                }
            },
        },
    }
    return {
        "version": 2,
        "root": str(options.directory / "root"),
        "state": str(options.state / "state"),
        "oom_score": 0,
        "disabled_plugins": [f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")]
        + ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"],
        "grpc": {"address": str(options.socket)},
        "ttrpc": {"address": f"{options.socket}.ttrpc"},
        "debug": {"address": "", "level": "warn"},
        "plugins": {
            "io.containerd.grpc.v1.cri": cri,
            "io.containerd.internal.v1.opt": {"path": str(options.directory / "opt")},
        },
    }


def write_registry_hosts(directory: Path, registries: Mapping[str, RegistryHost]) -> None:
    """Write how registries are reached; containerd looks at each pull.

    directory: ``certs.d`` beside its configuration.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, host in registries.items():
        target = directory / name
        target.mkdir(exist_ok=True)
        lines = [f'server = "{host.url}"', "", f'[host."{host.url}"]', '  capabilities = ["pull", "resolve", "push"]']
        if host.ca:
            lines.append(f"  ca = {json.dumps(host.ca)}")
        if host.client_certificate:
            lines.append(f"  client = [{json.dumps([host.client_certificate, host.client_key])}]")
        if host.skip_verify:
            lines.append("  skip_verify = true")
        (target / "hosts.toml").write_text("\n".join(lines) + "\n")


def _toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """Write the subset of TOML that the configuration needs: scalars, string lists, nested tables."""
    scalars = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    text = "\n".join(scalars) + "\n" if scalars else ""
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{prefix}{key if key.replace('_', '').isalnum() else json.dumps(key)}"
            text += f"\n[{name}]\n{_toml(value, name + '.')}"
    return text
