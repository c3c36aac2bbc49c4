"""From a pod's spec to what the runtime is told: the sandbox and each container.

Source: kubelet's kuberuntime_sandbox.go (generatePodSandboxConfig), kuberuntime_container.go (generateContainerConfig)
and kubelet_pods.go (makeMounts).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sampan.api.object import name_of, namespace_of, uid_of
from sampan.api.pods import qos_class_of
from sampan.kubelet import hostsfile, pods, security
from sampan.kubelet.environment import ContainerConfigError, Surroundings, environment
from sampan.kubelet.expansion import expand, expand_strict
from sampan.kubelet.resources import container_resources
from sampan.kubelet.runtime import ContainerSpec, Mount, MountPropagation, PortMapping, SandboxSpec, SecurityProfile
from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.kubelet.environment import ObjectSource
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.runtime import Image
    from sampan.kubelet.volumes import VolumeManager

_PROPAGATION = {
    "None": MountPropagation.PRIVATE,
    "HostToContainer": MountPropagation.HOST_TO_CONTAINER,
    "Bidirectional": MountPropagation.BIDIRECTIONAL,
}
_HOSTS = "/etc/hosts"


def log_directory(options: KubeletOptions, pod: Object) -> Path:
    """Tell where a pod's logs lie: ``<namespace>_<name>_<uid>``."""
    return options.log_dir / f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"


def sandbox_spec(pod: Object, attempt: int, options: KubeletOptions, cgroup_parent: str) -> SandboxSpec:
    """Build a pod's sandbox."""
    spec = pod["spec"]
    context = spec.get("securityContext") or {}
    hostname, domain = hostsfile.hostname_of(pod, options.cluster_domain)
    if spec.get("setHostnameAsFQDN") and domain:
        hostname = f"{hostname}.{domain}"
    return SandboxSpec(
        name=name_of(pod),
        uid=uid_of(pod),
        namespace=namespace_of(pod),
        attempt=attempt,
        hostname="" if spec.get("hostNetwork") else hostname,
        log_directory=str(log_directory(options, pod)),
        dns=hostsfile.dns_config(pod, options.cluster_dns, options.cluster_domain, options.resolv_conf),
        port_mappings=() if spec.get("hostNetwork") else _port_mappings(pod),
        labels=pods.pod_labels(pod),
        annotations=pod["metadata"].get("annotations") or {},
        cgroup_parent=cgroup_parent,
        namespaces=security.pod_namespaces(pod),
        sysctls={entry["name"].replace("/", "."): entry["value"] for entry in context.get("sysctls") or ()},
        privileged=security.is_privileged(pod),
        run_as_user=context.get("runAsUser"),
        run_as_group=context.get("runAsGroup") if context.get("runAsUser") is not None else None,
        supplemental_groups=_groups(context),
        seccomp=SecurityProfile(kind="RuntimeDefault"),
    )


def _groups(context: Object) -> list[int]:
    groups = [*(context.get("supplementalGroups") or ())]
    if context.get("fsGroup") is not None:
        groups.append(context["fsGroup"])
    return groups


def _port_mappings(pod: Object) -> list[PortMapping]:
    return [
        PortMapping(
            protocol=port.get("protocol") or "TCP",
            container_port=port["containerPort"],
            host_port=port["hostPort"],
            host_ip=port.get("hostIP") or "",
        )
        for container in [*pods.init_containers_of(pod), *pods.containers_of(pod)]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerBuilder:
    """Builds container specs. seccomp_root: where Localhost profiles lie. machine_memory: bytes."""

    options: KubeletOptions
    objects: ObjectSource
    volumes: VolumeManager
    machine_memory: int

    async def build(
        self, pod: Object, container: Object, image: Image, *, attempt: int, around: Surroundings, target_id: str = ""
    ) -> ContainerSpec:
        """Build one container. Raises ContainerConfigError; VolumeError for a subPath."""
        values = await environment(pod, container, self.objects, around)
        known: Mapping[str, str] = values
        seccomp_root = str(self.options.data_dir / "seccomp")
        log_path = f"{container['name']}/{attempt}.log"
        (log_directory(self.options, pod) / container["name"]).mkdir(parents=True, exist_ok=True)
        mounts = self._mounts(pod, container, known, around.ips)
        termination = self.termination_file(pod, container["name"], attempt)
        if container.get("terminationMessagePath"):
            termination.parent.mkdir(parents=True, exist_ok=True)
            termination.touch()
            termination.chmod(0o666)
            mounts.append(Mount(container_path=container["terminationMessagePath"], host_path=str(termination)))
        return ContainerSpec(
            name=container["name"],
            attempt=attempt,
            image=image.id,
            user_image=container["image"],
            command=[expand(text, known) for text in container.get("command") or ()],
            args=[expand(text, known) for text in container.get("args") or ()],
            working_dir=container.get("workingDir") or "",
            envs=list(values.items()),
            mounts=mounts,
            devices=(),
            labels=pods.container_labels(pod, container),
            annotations=pods.container_annotations(pod, container, attempt),
            log_path=log_path,
            stdin=bool(container.get("stdin")),
            stdin_once=bool(container.get("stdinOnce")),
            tty=bool(container.get("tty")),
            resources=container_resources(pod, container, qos_class_of(pod), self.machine_memory),
            security=security.container_security(pod, container, image, seccomp_root=seccomp_root, target_id=target_id),
        )

    def termination_file(self, pod: Object, container: str, attempt: int) -> Path:
        """Tell the host file behind a container's terminationMessagePath."""
        return self.volumes.pod_directory(uid_of(pod)) / "containers" / container / str(attempt)

    def write_hosts(self, pod: Object, ips: Sequence[str]) -> Path:
        """Write the pod's /etc/hosts; in place, for running containers have it mounted."""
        path = self.volumes.pod_directory(uid_of(pod)) / "etc-hosts"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = hostsfile.hosts_content(pod, ips, self.options.cluster_domain)
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            path.chmod(0o644)
        return path

    def _mounts(self, pod: Object, container: Object, values: Mapping[str, str], ips: Sequence[str]) -> list[Mount]:
        found = [
            self._mount(pod, container, index, mount, values)
            for index, mount in enumerate(container.get("volumeMounts") or ())
        ]
        if not any(mount.container_path == _HOSTS for mount in found):
            found.append(Mount(container_path=_HOSTS, host_path=str(self.write_hosts(pod, ips))))
        return found

    def _mount(self, pod: Object, container: Object, index: int, mount: Object, values: Mapping[str, str]) -> Mount:
        volume = mount["name"]
        try:
            host = self.volumes.path(pod, volume)
        except KeyError:
            raise ContainerConfigError(
                f'cannot find volume "{volume}" to mount into container "{container["name"]}"'
            ) from None
        relative = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            relative, missing = expand_strict(mount["subPathExpr"], values)
            if missing:
                raise ContainerConfigError(f"missing value for {missing[0]!r}".replace("'", '"'))
        if relative:
            if ".." in PurePosixPath(relative).parts or relative.startswith("/"):
                raise ContainerConfigError(f"unable to provision SubPath `{relative}`: must not contain '..'")
            try:
                host = self.volumes.sub_path(pod, container["name"], index, volume, relative)
            except (VolumeError, OSError) as error:
                text = f'failed to prepare subPath for volumeMount "{volume}" of container "{container["name"]}"'
                raise ContainerConfigError(text) from error
        path = mount["mountPath"]
        return Mount(
            container_path=path if path.startswith("/") else f"/{path}",
            host_path=str(host),
            readonly=bool(mount.get("readOnly")),
            propagation=_PROPAGATION[mount.get("mountPropagation") or "None"],
        )
