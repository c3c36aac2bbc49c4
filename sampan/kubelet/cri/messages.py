"""Between the runtime interface's dataclasses and the CRI protobuf messages (runtime.v1). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cri_api.v1 import api_pb2

from sampan.kubelet import runtime as rt

if TYPE_CHECKING:
    from collections.abc import Sequence

# Enumerations are plain numbers here; the stubs would have each named.
pb: Any = api_pb2

_PROFILE_TYPES = {"RuntimeDefault": 0, "Unconfined": 1, "Localhost": 2}
_PROTOCOLS = {"TCP": 0, "UDP": 1, "SCTP": 2}


def sandbox_config(spec: rt.SandboxSpec) -> Any:
    """Build PodSandboxConfig."""
    security = pb.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(spec.namespaces),
        privileged=spec.privileged,
        supplemental_groups=spec.supplemental_groups,
        seccomp=_profile(spec.seccomp),
    )
    if spec.run_as_user is not None:
        security.run_as_user.value = spec.run_as_user
    if spec.run_as_group is not None:
        security.run_as_group.value = spec.run_as_group
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=spec.name, uid=spec.uid, namespace=spec.namespace, attempt=spec.attempt),
        hostname=spec.hostname,
        log_directory=spec.log_directory,
        dns_config=pb.DNSConfig(servers=spec.dns.servers, searches=spec.dns.searches, options=spec.dns.options),
        port_mappings=[
            pb.PortMapping(
                protocol=_PROTOCOLS[port.protocol],
                container_port=port.container_port,
                host_port=port.host_port,
                host_ip=port.host_ip,
            )
            for port in spec.port_mappings
        ],
        labels=spec.labels,
        annotations=spec.annotations,
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent=spec.cgroup_parent, security_context=security, sysctls=spec.sysctls
        ),
    )


def container_config(spec: rt.ContainerSpec) -> Any:
    """Build ContainerConfig."""
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=spec.name, attempt=spec.attempt),
        image=pb.ImageSpec(image=spec.image, user_specified_image=spec.user_image),
        command=spec.command,
        args=spec.args,
        working_dir=spec.working_dir,
        envs=[pb.KeyValue(key=key, value=value) for key, value in spec.envs],
        mounts=[
            pb.Mount(
                container_path=mount.container_path,
                host_path=mount.host_path,
                readonly=mount.readonly,
                propagation=int(mount.propagation),
            )
            for mount in spec.mounts
        ],
        devices=[
            pb.Device(container_path=device.container_path, host_path=device.host_path, permissions=device.permissions)
            for device in spec.devices
        ],
        labels=spec.labels,
        annotations=spec.annotations,
        log_path=spec.log_path,
        stdin=spec.stdin,
        stdin_once=spec.stdin_once,
        tty=spec.tty,
        linux=pb.LinuxContainerConfig(resources=resources(spec.resources), security_context=_security(spec.security)),
    )


def resources(spec: rt.LinuxResources) -> Any:
    """Build LinuxContainerResources."""
    return pb.LinuxContainerResources(
        cpu_period=spec.cpu_period,
        cpu_quota=spec.cpu_quota,
        cpu_shares=spec.cpu_shares,
        memory_limit_in_bytes=spec.memory_limit,
        oom_score_adj=spec.oom_score_adj,
        hugepage_limits=[pb.HugepageLimit(page_size=size, limit=limit) for size, limit in spec.hugepage_limits.items()],
    )


def _security(spec: rt.ContainerSecurity) -> Any:
    message = pb.LinuxContainerSecurityContext(
        namespace_options=_namespaces(spec.namespaces),
        privileged=spec.privileged,
        run_as_username=spec.run_as_username,
        readonly_rootfs=spec.readonly_rootfs,
        supplemental_groups=spec.supplemental_groups,
        no_new_privs=spec.no_new_privileges,
        masked_paths=spec.masked_paths,
        readonly_paths=spec.readonly_paths,
        seccomp=_profile(spec.seccomp),
        apparmor=_profile(spec.apparmor),
    )
    if spec.add_capabilities or spec.drop_capabilities:
        message.capabilities.add_capabilities.extend(spec.add_capabilities)
        message.capabilities.drop_capabilities.extend(spec.drop_capabilities)
    if spec.run_as_user is not None:
        message.run_as_user.value = spec.run_as_user
    if spec.run_as_group is not None:
        message.run_as_group.value = spec.run_as_group
    if spec.selinux:
        message.selinux_options.CopyFrom(pb.SELinuxOption(**spec.selinux))
    return message


def _namespaces(spec: rt.Namespaces) -> Any:
    return pb.NamespaceOption(network=int(spec.network), pid=int(spec.pid), ipc=int(spec.ipc), target_id=spec.target_id)


def _profile(profile: rt.SecurityProfile | None) -> Any:
    if profile is None:
        return None
    return pb.SecurityProfile(profile_type=_PROFILE_TYPES[profile.kind], localhost_ref=profile.path)


def sandbox(message: Any) -> rt.Sandbox:
    """Read PodSandbox."""
    meta = message.metadata
    return rt.Sandbox(
        id=message.id,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        attempt=meta.attempt,
        ready=message.state == pb.SANDBOX_READY,
        created_at=message.created_at,
        labels=dict(message.labels),
        annotations=dict(message.annotations),
    )


def container(message: Any) -> rt.Container:
    """Read Container."""
    return rt.Container(
        id=message.id,
        sandbox_id=message.pod_sandbox_id,
        name=message.metadata.name,
        attempt=message.metadata.attempt,
        state=rt.ContainerState(message.state),
        created_at=message.created_at,
        image=message.image.image,
        labels=dict(message.labels),
        annotations=dict(message.annotations),
    )


def container_status(message: Any) -> rt.ContainerStatus:
    """Read ContainerStatus."""
    user = None
    if message.HasField("user") and message.user.HasField("linux"):
        linux = message.user.linux
        user = (linux.uid, linux.gid, tuple(linux.supplemental_groups))
    return rt.ContainerStatus(
        id=message.id,
        name=message.metadata.name,
        attempt=message.metadata.attempt,
        state=rt.ContainerState(message.state),
        created_at=message.created_at,
        started_at=message.started_at,
        finished_at=message.finished_at,
        exit_code=message.exit_code,
        image=message.image.image,
        image_ref=message.image_ref,
        reason=message.reason,
        message=message.message,
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        log_path=message.log_path,
        user=user,
    )


def image(message: Any) -> rt.Image:
    """Read Image."""
    return rt.Image(
        id=message.id,
        tags=list(message.repo_tags),
        digests=list(message.repo_digests),
        size=message.size,
        uid=message.uid.value if message.HasField("uid") else None,
        username=message.username,
        pinned=message.pinned,
    )


def container_stats(message: Any) -> rt.ContainerStats:
    """Read ContainerStats."""
    memory, layer = message.memory, message.writable_layer
    return rt.ContainerStats(
        id=message.attributes.id,
        timestamp=message.cpu.timestamp,
        cpu=message.cpu.usage_core_nano_seconds.value,
        working_set=memory.working_set_bytes.value,
        usage=memory.usage_bytes.value,
        rss=memory.rss_bytes.value,
        page_faults=memory.page_faults.value,
        major_page_faults=memory.major_page_faults.value,
        filesystem_used=layer.used_bytes.value,
        inodes_used=layer.inodes_used.value,
    )


def auth(credentials: rt.RegistryAuth) -> Any:
    """Build AuthConfig."""
    return pb.AuthConfig(
        username=credentials.username,
        password=credentials.password,
        server_address=credentials.server_address,
        identity_token=credentials.identity_token,
        registry_token=credentials.registry_token,
    )


def exec_request(
    container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
) -> Any:
    """Build ExecRequest."""
    return pb.ExecRequest(container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr)
