"""Security contexts of pods and containers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec.paths import local_descending
from sampan.apiserver.registry.validation import gotypes, names, numbers

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_FORMAT = rf"^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$"
_SYSCTL = re.compile(_SYSCTL_FORMAT)
_IPC_SYSCTLS = frozenset({"kernel.sem"})
_IPC_PREFIXES = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NETBIOS = re.compile(r'[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}')
_DNS_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DNS_DOMAIN = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_BAD_USER = re.compile(r'["/\\:;|=,\+\*\?<>@\[\]]')
_DOTS_AND_SPACES = re.compile(r"[\. ]+")


def pod_security_context(errors: Errors, path: Path, spec: Object, options: PodOptions) -> None:
    """path: of the context."""
    context = spec["securityContext"]
    if not context:
        return
    numbers.numeric_id(errors, path.child("fsGroup"), context.get("fsGroup"))
    numbers.numeric_id(errors, path.child("runAsUser"), context.get("runAsUser"))
    numbers.numeric_id(errors, path.child("runAsGroup"), context.get("runAsGroup"))
    for position, group in enumerate(context.get("supplementalGroups") or ()):
        numbers.numeric_id(errors, path.child("supplementalGroups").index(position), group)
    if context.get("sysctls"):
        _sysctls(errors, path.child("sysctls"), spec, options)
    if "fsGroupChangePolicy" in context:
        names.one_of(
            errors, path.child("fsGroupChangePolicy"), context["fsGroupChangePolicy"], ("Always", "OnRootMismatch")
        )
    _profiles(errors, path, context)
    if "supplementalGroupsPolicy" in context:
        names.one_of(
            errors, path.child("supplementalGroupsPolicy"), context["supplementalGroupsPolicy"], ("Merge", "Strict")
        )
    if "seLinuxChangePolicy" in context:
        allowed = ("MountOption", "Recursive") if options.allow_mount_option_policy else ("Recursive",)
        names.one_of(errors, path.child("seLinuxChangePolicy"), context["seLinuxChangePolicy"], allowed)


def share_process_namespace(errors: Errors, path: Path, spec: Object) -> None:
    """path: of the pod's security context, where the internal version keeps the field."""
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(field.invalid(path.child("shareProcessNamespace"), True, detail))


def _profiles(errors: Errors, path: Path, context: Object) -> None:
    if "seccompProfile" in context:
        _seccomp(errors, path.child("seccompProfile"), context["seccompProfile"])
    if "windowsOptions" in context:
        _windows(errors, path.child("windowsOptions"), context["windowsOptions"])
    if "appArmorProfile" in context:
        _app_armor(errors, path.child("appArmorProfile"), context["appArmorProfile"])


def _sysctls(errors: Errors, path: Path, spec: Object, options: PodOptions) -> None:
    seen: set[str] = set()
    for position, item in enumerate(spec["securityContext"]["sysctls"]):
        here = path.index(position).child("name")
        name = item.get("name", "")
        if not name:
            errors.append(field.required(here))
        elif len(name) > 253 or _SYSCTL.match(name) is None:
            detail = f"must have at most 253 characters and match regex {_SYSCTL_FORMAT}"
            errors.append(field.invalid(here, name, detail))
        elif name in seen:
            errors.append(field.duplicate(here, name))
        if not options.allow_host_sysctls:
            _host_sysctl(errors, here, name.replace("/", "."), spec, name)
        seen.add(name)


def _host_sysctl(errors: Errors, path: Path, normalized: str, spec: Object, name: str) -> None:
    if spec.get("hostNetwork") and normalized.startswith("net."):
        errors.append(field.invalid(path, name, "may not be specified when 'hostNetwork' is true"))
    elif spec.get("hostIPC") and (normalized in _IPC_SYSCTLS or normalized.startswith(_IPC_PREFIXES)):
        errors.append(field.invalid(path, name, "may not be specified when 'hostIPC' is true"))


def container_security_context(errors: Errors, path: Path, context: Object, *, host_users: bool) -> None:
    """host_users: the pod shares the host's user namespace."""
    numbers.numeric_id(errors, path.child("runAsUser"), context.get("runAsUser"))
    numbers.numeric_id(errors, path.child("runAsGroup"), context.get("runAsGroup"))
    if "procMount" in context:
        mount = context["procMount"]
        names.one_of(errors, path.child("procMount"), mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            errors.append(field.invalid(path.child("procMount"), mount, "`hostUsers` must be false to use `Unmasked`"))
    if "seccompProfile" in context:
        _seccomp(errors, path.child("seccompProfile"), context["seccompProfile"])
    if context.get("allowPrivilegeEscalation") is False:
        _no_escalation(errors, path, context)
    if "windowsOptions" in context:
        _windows(errors, path.child("windowsOptions"), context["windowsOptions"])
    if "appArmorProfile" in context:
        _app_armor(errors, path.child("appArmorProfile"), context["appArmorProfile"])


def _no_escalation(errors: Errors, path: Path, context: Object) -> None:
    if context.get("privileged"):
        detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        errors.append(field.invalid(path, gotypes.internal("core.v1.SecurityContext", context), detail))
    for capability in (context.get("capabilities") or {}).get("add") or ():
        if capability == "CAP_SYS_ADMIN":
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(field.invalid(path, gotypes.internal("core.v1.SecurityContext", context), detail))


def _seccomp(errors: Errors, path: Path, profile: Object) -> None:
    kind = profile.get("type", "")
    if not kind:
        errors.append(field.required(path.child("type"), "type is required when seccompProfile is set"))
    else:
        names.one_of(errors, path.child("type"), kind, _PROFILES)
    local = profile.get("localhostProfile")
    if kind == "Localhost":
        if local is None:
            errors.append(field.required(path.child("localhostProfile"), "must be set when seccomp type is Localhost"))
        else:
            local_descending(errors, path.child("localhostProfile"), local)
    elif local is not None:
        shown = gotypes.internal("core.v1.SeccompProfile", profile)
        detail = "can only be set when seccomp type is Localhost"
        errors.append(field.invalid(path.child("localhostProfile"), shown, detail))


def _app_armor(errors: Errors, path: Path, profile: Object) -> None:
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    here = path.child("localhostProfile")
    if kind == "Localhost":
        if local is None or local == "":
            errors.append(field.required(here, "must be set when AppArmor type is Localhost"))
            return
        if local.strip() != local:
            errors.append(field.invalid(here, local, "must not be padded with whitespace"))
        if len(local.encode()) > 4095:
            errors.append(field.too_long(here, "", 4095))
    elif kind in _PROFILES:
        if local is not None:
            errors.append(field.invalid(here, local, "can only be set when AppArmor type is Localhost"))
    elif not kind:
        errors.append(field.required(path.child("type"), "type is required when appArmorProfile is set"))
    else:
        errors.append(field.not_supported(path.child("type"), kind, _PROFILES))


def _windows(errors: Errors, path: Path, options: Object) -> None:
    if "gmsaCredentialSpecName" in options:
        names.dns_subdomain(errors, path.child("gmsaCredentialSpecName"), options["gmsaCredentialSpecName"])
    spec = options.get("gmsaCredentialSpec")
    if spec is not None:
        here = path.child("gmsaCredentialSpec")
        if not spec:
            errors.append(field.invalid(here, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec.encode()) > 64 * 1024:
            errors.append(field.invalid(here, spec, "gmsaCredentialSpec size must be under 64 KiB"))
    if "runAsUserName" in options:
        here = path.child("runAsUserName")
        value = options["runAsUserName"]
        errors += [field.invalid(here, value, detail) for detail in _user_name_faults(value)]


def _user_name_faults(value: str) -> list[str]:
    if not value:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(value):
        return ["runAsUserName cannot contain control characters"]
    parts = value.split("\\")
    if len(parts) > 2:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, user = (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    faults = []
    if domain is not None and len(domain) >= 256:
        faults.append("runAsUserName's Domain length must be under 256 characters")
    if domain is not None and not (_NETBIOS.fullmatch(domain) or _DNS_DOMAIN.fullmatch(domain)):
        faults.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        faults.append("runAsUserName's User cannot be empty")
    elif len(user) > 104:
        faults.append("runAsUserName's User length must not be longer than 104 characters")
    if _DOTS_AND_SPACES.fullmatch(user):
        faults.append("runAsUserName's User cannot contain only periods or spaces")
    if _BAD_USER.search(user):
        faults.append("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return faults
