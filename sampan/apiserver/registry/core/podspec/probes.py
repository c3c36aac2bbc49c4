"""Probes and lifecycle hooks of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.names import is_http_header_name
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_LINUX_SIGNALS = frozenset({
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
    "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGSEGV", "SIGSTKFLT", "SIGSTOP",
    "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM",
    "SIGWINCH", "SIGXCPU", "SIGXFSZ", "SIGRTMIN", "SIGRTMAX", *(f"SIGRTMIN+{n}" for n in range(1, 16)),
    *(f"SIGRTMAX-{n}" for n in range(1, 15)),
})  # fmt: skip
_WINDOWS_SIGNALS = frozenset({"SIGKILL", "SIGTERM"})


def probes(errors: Errors, path: Path, container: Object) -> None:
    """All three probes of a container."""
    if (probe := container.get("livenessProbe")) is not None:
        _once(errors, path.child("livenessProbe"), probe)
    if (probe := container.get("readinessProbe")) is not None:
        here = path.child("readinessProbe")
        _probe(errors, here, probe)
        if "terminationGracePeriodSeconds" in probe:
            seconds = probe["terminationGracePeriodSeconds"]
            detail = "must not be set for readinessProbes"
            errors.append(field.invalid(here.child("terminationGracePeriodSeconds"), seconds, detail))
    if (probe := container.get("startupProbe")) is not None:
        _once(errors, path.child("startupProbe"), probe)


def _once(errors: Errors, path: Path, probe: Object) -> None:
    _probe(errors, path, probe)
    if probe.get("successThreshold", 0) != 1:
        errors.append(field.invalid(path.child("successThreshold"), probe.get("successThreshold", 0), "must be 1"))


def _probe(errors: Errors, path: Path, probe: Object) -> None:
    _handler(errors, path, probe, None)
    numbers.nonnegative_fields(errors, path, probe, *_NUMBERS)
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(field.invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"))


def lifecycle(errors: Errors, path: Path, hooks: Object, grace: int | None, os_name: str | None) -> None:
    """grace: the pod's termination grace period, seconds. os_name: the pod's, None when it says none."""
    for name in ("postStart", "preStop"):
        if name in hooks:
            _handler(errors, path.child(name), hooks[name], grace)
    if "stopSignal" in hooks:
        _stop_signal(errors, path.child("stopSignal"), hooks["stopSignal"], os_name)


def _stop_signal(errors: Errors, path: Path, signal: str, os_name: str | None) -> None:
    if os_name is None:
        errors.append(field.forbidden(path, "may not be set for containers with empty `spec.os.name`"))
        return
    if os_name == "windows":
        if signal not in _WINDOWS_SIGNALS:
            errors.append(field.not_supported(path, signal, tuple(sorted(_WINDOWS_SIGNALS))))
    elif signal not in _LINUX_SIGNALS:
        errors.append(field.not_supported(path, signal, tuple(sorted(_LINUX_SIGNALS))))


def _handler(errors: Errors, path: Path, handler: Object, grace: int | None) -> None:
    found = False
    for kind in _HANDLERS:
        if kind not in handler:
            continue
        if found:
            errors.append(field.forbidden(path.child(kind), "may not specify more than 1 handler type"))
            continue
        found = True
        _action(errors, path.child(kind), kind, handler[kind], grace)
    if not found:
        errors.append(field.required(path, "must specify a handler type"))


def _action(errors: Errors, path: Path, kind: str, action: Object, grace: int | None) -> None:
    if kind == "exec":
        names.required(errors, path.child("command"), action.get("command"))
    elif kind == "httpGet":
        _http_get(errors, path, action)
    elif kind == "sleep":
        seconds = action.get("seconds", 0)
        if grace is not None and not 0 <= seconds <= grace:
            detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            errors.append(field.invalid(path, seconds, detail))
    else:
        numbers.port_or_name(errors, path.child("port"), action.get("port", 0))


def _http_get(errors: Errors, path: Path, action: Object) -> None:
    names.required(errors, path.child("path"), action.get("path"))
    numbers.port_or_name(errors, path.child("port"), action.get("port", 0))
    scheme = action.get("scheme", "")
    if scheme not in ("HTTP", "HTTPS"):
        errors.append(field.not_supported(path.child("scheme"), scheme, ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        names.report(
            errors, path.child("httpHeaders"), header.get("name", ""), is_http_header_name(header.get("name", ""))
        )
