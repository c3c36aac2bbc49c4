"""Security contexts of pods and containers as the runtime wants them.

Source: kubelet's kuberuntime/security_context.go, pkg/securitycontext (masked and read-only paths).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.kubelet.environment import ContainerConfigError
from sampan.kubelet.pods import format_pod, security_value
from sampan.kubelet.runtime import ContainerSecurity, NamespaceMode, Namespaces, SecurityProfile

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubelet.runtime import Image

_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def pod_namespaces(pod: Object, target_id: str = "") -> Namespaces:
    """Tell whose namespaces a pod's containers use. target_id: the container an ephemeral one joins."""
    spec = pod["spec"]
    if target_id:
        pid = NamespaceMode.TARGET
    elif spec.get("hostPID"):
        pid = NamespaceMode.NODE
    else:
        pid = NamespaceMode.POD if spec.get("shareProcessNamespace") else NamespaceMode.CONTAINER
    return Namespaces(
        network=NamespaceMode.NODE if spec.get("hostNetwork") else NamespaceMode.POD,
        pid=pid,
        ipc=NamespaceMode.NODE if spec.get("hostIPC") else NamespaceMode.POD,
        target_id=target_id,
    )


def profile(seccomp: Object | None, root: str) -> SecurityProfile | None:
    """Convert a seccompProfile or appArmorProfile. root: where Localhost seccomp profiles lie; "" keeps the name."""
    if not seccomp:
        return None
    kind = seccomp["type"]
    if kind != "Localhost":
        return SecurityProfile(kind=kind)
    name = seccomp.get("localhostProfile", "")
    return SecurityProfile(kind=kind, path=f"{root}/{name}" if root else name)


def is_privileged(pod: Object) -> bool:
    """Tell whether any container of the pod is privileged: its sandbox must be as well."""
    spec = pod["spec"]
    everything = [*(spec.get("initContainers") or ()), *spec["containers"], *(spec.get("ephemeralContainers") or ())]
    return any((container.get("securityContext") or {}).get("privileged") for container in everything)


def container_security(
    pod: Object, container: Object, image: Image, *, seccomp_root: str, target_id: str = ""
) -> ContainerSecurity:
    """Build a container's security settings. Raises ContainerConfigError when runAsNonRoot is broken."""
    own = container.get("securityContext") or {}
    pod_context = pod["spec"].get("securityContext") or {}
    user = security_value(pod, container, "runAsUser")
    verify_non_root(pod, container, image, user)
    username = ""
    if user is None and image.uid is not None:
        user = image.uid
    elif user is None:
        username = image.username
    capabilities = own.get("capabilities") or {}
    escalation = own.get("allowPrivilegeEscalation")
    unmasked = own.get("procMount") == "Unmasked"
    groups = [*(pod_context.get("supplementalGroups") or ())]
    if pod_context.get("fsGroup") is not None:
        groups.append(pod_context["fsGroup"])
    return ContainerSecurity(
        namespaces=pod_namespaces(pod, target_id),
        privileged=bool(own.get("privileged")),
        run_as_user=user,
        run_as_group=security_value(pod, container, "runAsGroup"),
        run_as_username=username,
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        supplemental_groups=groups,
        no_new_privileges=escalation is False,
        add_capabilities=capabilities.get("add") or (),
        drop_capabilities=capabilities.get("drop") or (),
        masked_paths=() if unmasked else _MASKED,
        readonly_paths=() if unmasked else _READONLY,
        seccomp=profile(security_value(pod, container, "seccompProfile"), seccomp_root)
        or SecurityProfile(kind="Unconfined"),
        apparmor=profile(security_value(pod, container, "appArmorProfile"), ""),
        selinux=security_value(pod, container, "seLinuxOptions") or {},
    )


def verify_non_root(pod: Object, container: Object, image: Image, user: int | None) -> None:
    """Refuse to run as root, or as somebody unknown, where runAsNonRoot is set. Raises ContainerConfigError."""
    if not security_value(pod, container, "runAsNonRoot"):
        return
    named = f'(pod: "{format_pod(pod)}", container: {container["name"]})'
    if user is not None:
        if user == 0:
            raise ContainerConfigError(f"container's runAsUser breaks non-root policy {named}")
        return
    if image.uid == 0 or (image.uid is None and not image.username):
        raise ContainerConfigError(f"container has runAsNonRoot and image will run as root {named}")
    if image.uid is None:
        raise ContainerConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
            f"cannot verify user is non-root {named}"
        )
