"""The pod security standards: what baseline and restricted forbid, in the words and order of kube-apiserver.

Each check gives "" or ``reason (detail)``. Checks run in the order of their names, the baseline ones first; where a
restricted check says more than a baseline one, it stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sampan.api.object import Object

    Check = Callable[[Object, Object], tuple[str, str] | None]

_DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_VOLUMES = frozenset(
    {
        "name", "configMap", "downwardAPI", "emptyDir", "projected", "secret", "csi", "persistentVolumeClaim",
        "ephemeral", "image",
    }
)  # fmt: skip
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(metadata: Object, spec: Object, level: str, minor: int, *, details: bool = True) -> list[str]:
    """What of a level a pod violates. minor: of the version, large for the latest."""
    if level == "privileged":
        return []
    found = []
    for check in _checks(level, minor):
        violated = check(metadata, spec)
        if violated is not None:
            reason, detail = violated
            found.append(f"{reason} ({detail})" if detail and details else reason)
    return found


def _checks(level: str, minor: int) -> Iterator[Check]:
    baseline: tuple[tuple[Check, int, bool], ...] = (
        (_app_armor, 0, True), (_capabilities, 0, False), (_host_namespaces, 0, True), (_host_paths, 0, False),
        (_host_ports, 0, True), (_probe_hosts, 34, True), (_privileged, 0, True), (_proc_mount, 0, True),
        (_selinux, 0, True), (_seccomp, 0, False), (_sysctls, 0, True), (_windows_host_process, 0, True),
    )  # fmt: skip
    restricted = level == "restricted"
    for check, since, stays in baseline:
        if minor >= since and (stays or not restricted):
            yield check
    if restricted:
        yield from (
            _privilege_escalation, _restricted_capabilities, _restricted_volumes, _run_as_non_root, _run_as_user,
            _restricted_seccomp,
        )  # fmt: skip


def _containers(spec: Object) -> Iterator[Object]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def _security(one: Object) -> Object:
    found: Object = one.get("securityContext") or {}
    return found


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _named(containers: Sequence[str]) -> str:
    return f"{_plural('container', 'containers', len(containers))} {_quoted(containers)}"


def _setters(*, pod: bool, containers: Sequence[str]) -> str:
    """``pod``, ``container "c"`` or both."""
    parts = ["pod"] if pod else []
    if containers:
        parts.append(_named(containers))
    return " and ".join(parts)


def _is_windows(spec: Object) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


# -- baseline


def _app_armor(metadata: Object, spec: Object) -> tuple[str, str] | None:
    def is_bad(one: Object) -> bool:
        return bool((_security(one).get("appArmorProfile") or {}).get("type") == "Unconfined")

    containers = [one["name"] for one in _containers(spec) if is_bad(one)]
    parts = []
    if is_bad(spec) or containers:
        who = _setters(pod=is_bad(spec), containers=containers)
        parts.append(f'{who} must not set AppArmor profile type to "Unconfined"')
    annotations = metadata.get("annotations") or {}
    bad = sorted(
        f'"{key}={value}"'
        for key, value in annotations.items()
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if bad:
        parts.append(f"{_plural('annotation', 'annotations', len(bad))} {', '.join(bad)}")
    count = len(containers) + len(bad) + is_bad(spec)
    reason = _plural("forbidden AppArmor profile", "forbidden AppArmor profiles", count)
    return (reason, "; ".join(parts)) if parts else None


def _added(spec: Object, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    containers, capabilities = [], set()
    for one in _containers(spec):
        bad = set((_security(one).get("capabilities") or {}).get("add") or ()) - allowed
        if bad:
            containers.append(one["name"])
            capabilities |= bad
    return containers, sorted(capabilities)


def _capabilities(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    containers, bad = _added(spec, _DEFAULT_CAPABILITIES)
    if not containers:
        return None
    detail = f"{_named(containers)} must not include {_quoted(bad)} in securityContext.capabilities.add"
    return "non-default capabilities", detail


def _host_namespaces(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    used = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return ("host namespaces", ", ".join(used)) if used else None


def _host_paths(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    used = [one["name"] for one in spec.get("volumes") or () if one.get("hostPath") is not None]
    return ("hostPath volumes", f"{_plural('volume', 'volumes', len(used))} {_quoted(used)}") if used else None


def _host_ports(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    containers, ports = [], set()
    for one in _containers(spec):
        bad = {port["hostPort"] for port in one.get("ports") or () if port.get("hostPort")}
        if bad:
            containers.append(one["name"])
            ports |= bad
    if not containers:
        return None
    verb = _plural("uses", "use", len(containers))
    word = _plural("hostPort", "hostPorts", len(ports))
    return "hostPort", f"{_named(containers)} {verb} {word} {', '.join(sorted(map(str, ports)))}"


def _probe_hosts(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    containers: list[str] = []
    hosts: set[str] = set()
    for one in _containers(spec):
        lifecycle = one.get("lifecycle") or {}
        handlers = [one.get(key) or {} for key in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += [lifecycle.get(key) or {} for key in ("postStart", "preStop")]
        named = [(handler.get(kind) or {}).get("host") for handler in handlers for kind in ("httpGet", "tcpSocket")]
        bad = {host for host in named if host}
        if bad:
            containers.append(one["name"])
            hosts |= bad
    if not containers:
        return None
    verb = _plural("uses", "use", len(containers))
    word = _plural("host", "hosts", len(hosts))
    return "probe or lifecycle host", f"{_named(containers)} {verb} probe or lifecycle {word} {_quoted(sorted(hosts))}"


def _privileged(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    bad = [one["name"] for one in _containers(spec) if _security(one).get("privileged")]
    return ("privileged", f"{_named(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if spec.get("hostUsers") is False:
        return None
    bad, kinds = [], set()
    for one in _containers(spec):
        mount = _security(one).get("procMount", "Default")
        if mount != "Default":
            bad.append(one["name"])
            kinds.add(mount)
    if not bad:
        return None
    return "procMount", f"{_named(bad)} must not set securityContext.procMount to {_quoted(sorted(kinds))}"


def _selinux(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    types, keys = set(), set()

    def is_bad(one: Object) -> bool:
        options = _security(one).get("seLinuxOptions") or {}
        wrong = False
        if options.get("type", "") not in _SELINUX_TYPES:
            types.add(options["type"])
            wrong = True
        for key in ("user", "role"):
            if options.get(key):
                keys.add(key)
                wrong = True
        return wrong

    pod = is_bad(spec)
    containers = [one["name"] for one in _containers(spec) if is_bad(one)]
    if not pod and not containers:
        return None
    parts = []
    if types:
        parts.append(f"{_plural('type', 'types', len(types))} {_quoted(sorted(types))}")
    parts += [f"{key} may not be set" for key in ("user", "role") if key in keys]
    who = _setters(pod=pod, containers=containers)
    verb = _plural("sets", "set", pod + len(containers))
    return "seLinuxOptions", f"{who} {verb} forbidden securityContext.seLinuxOptions: {'; '.join(parts)}"


def _seccomp_type(one: Object) -> str:
    return (_security(one).get("seccompProfile") or {}).get("type") or ""


def _seccomp(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    pod = _seccomp_type(spec) == "Unconfined"
    containers = [one["name"] for one in _containers(spec) if _seccomp_type(one) == "Unconfined"]
    if not pod and not containers:
        return None
    who = _setters(pod=pod, containers=containers)
    return "seccompProfile", f'{who} must not set securityContext.seccompProfile.type to "Unconfined"'


def _sysctls(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    bad = [one["name"] for one in _security(spec).get("sysctls") or () if one["name"] not in _SAFE_SYSCTLS]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def _windows_host_process(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata

    def is_bad(one: Object) -> bool:
        return bool((_security(one).get("windowsOptions") or {}).get("hostProcess"))

    containers = [one["name"] for one in _containers(spec) if is_bad(one)]
    if not is_bad(spec) and not containers:
        return None
    who = _setters(pod=is_bad(spec), containers=containers)
    return "hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true"


# -- restricted


def _privilege_escalation(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if _is_windows(spec):
        return None
    bad = [one["name"] for one in _containers(spec) if _security(one).get("allowPrivilegeEscalation") is not False]
    detail = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", detail) if bad else None


def _restricted_capabilities(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if _is_windows(spec):
        return None
    keeping = [
        one["name"]
        for one in _containers(spec)
        if "ALL" not in ((_security(one).get("capabilities") or {}).get("drop") or ())
    ]
    parts = []
    if keeping:
        parts.append(f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    containers, added = _added(spec, frozenset({"NET_BIND_SERVICE"}))
    if containers:
        parts.append(f"{_named(containers)} must not include {_quoted(added)} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(parts)) if parts else None


def _restricted_volumes(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    bad, kinds = [], set()
    for one in spec.get("volumes") or ():
        wrong = [kind for kind in one if kind not in _VOLUMES]
        if wrong:
            bad.append(one["name"])
            kinds.update(wrong)
    if not bad:
        return None
    verb = _plural("uses", "use", len(bad))
    word = _plural("type", "types", len(kinds))
    names = f"{_plural('volume', 'volumes', len(bad))} {_quoted(bad)}"
    return "restricted volume types", f"{names} {verb} restricted volume {word} {_quoted(sorted(kinds))}"


def _run_as_non_root(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if spec.get("hostUsers") is False:
        return None
    pod = _security(spec).get("runAsNonRoot")
    explicit, implicit = [], []
    for one in _containers(spec):
        own = _security(one).get("runAsNonRoot")
        if own is False:
            explicit.append(one["name"])
        elif own is None and not pod:
            implicit.append(one["name"])
    pod_is_bad = pod is False and bool(implicit)
    if explicit or pod_is_bad:
        who = _setters(pod=pod_is_bad, containers=explicit)
        return "runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false"
    if implicit:
        return "runAsNonRoot != true", f"pod or {_named(implicit)} must set securityContext.runAsNonRoot=true"
    return None


def _run_as_user(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if spec.get("hostUsers") is False:
        return None
    pod = _security(spec).get("runAsUser") == 0
    containers = [one["name"] for one in _containers(spec) if _security(one).get("runAsUser") == 0]
    if not pod and not containers:
        return None
    return "runAsUser=0", f"{_setters(pod=pod, containers=containers)} must not set runAsUser=0"


def _restricted_seccomp(metadata: Object, spec: Object) -> tuple[str, str] | None:
    del metadata
    if _is_windows(spec):
        return None
    good = ("RuntimeDefault", "Localhost")
    pod = _seccomp_type(spec)
    explicit, implicit, kinds = [], [], set()
    for one in _containers(spec):
        own = _seccomp_type(one)
        if own and own not in good:
            explicit.append(one["name"])
            kinds.add(own)
        elif not own and pod not in good:
            implicit.append(one["name"])
    pod_is_bad = bool(pod) and pod not in good
    if pod_is_bad:
        kinds.add(pod)
    if explicit or pod_is_bad:
        who = _setters(pod=pod_is_bad, containers=explicit)
        return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {_quoted(sorted(kinds))}"
    if implicit:
        wanted = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        return "seccompProfile", f"pod or {_named(implicit)} must set {wanted}"
    return None
