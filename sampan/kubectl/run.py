"""`kubectl run`: a pod from an image; with the historic ``--generator=run/v1`` a ReplicationController."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sampan.api import mergepatch
from sampan.kubectl.builder import Target
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.parsing import environment, pairs
from sampan.kubectl.writing import WRITE_FLAGS, create, dry_run_of, manager_flag, report

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.flags import Values
    from sampan.kubectl.session import Session

_FLAGS = (
    *WRITE_FLAGS,
    manager_flag("run"),
    Flag(name="annotations", kind="array", help="Annotations key=value; may be repeated."),
    Flag(name="attach", kind="bool", help="Attach to the pod's process once it runs."),
    Flag(name="command", kind="bool", help="Take the arguments after -- as the command, not its arguments."),
    Flag(name="env", kind="array", help="Environment variables NAME=value; may be repeated."),
    Flag(name="expose", kind="bool", help="Also create a ClusterIP service for the pod; needs --port."),
    Flag(name="generator", help="run/v1: make a ReplicationController; run-pod/v1: a pod."),
    Flag(name="image", help="The image to run."),
    Flag(name="image-pull-policy", help="Always, IfNotPresent or Never."),
    Flag(name="labels", short="l", help="Labels key=value,...; run=NAME by default."),
    Flag(name="leave-stdin-open", kind="bool", help="Keep stdin open after the first attach."),
    Flag(name="overrides", help="JSON to merge into the object."),
    Flag(name="override-type", default="merge", help="json, merge or strategic."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for the pod to run."),
    Flag(name="port", help="The port that the container exposes."),
    Flag(name="privileged", kind="bool", help="Run the container privileged."),
    Flag(name="quiet", short="q", kind="bool", help="Suppress prompt messages."),
    Flag(name="replicas", short="r", kind="int", default=1, help="Pods of the ReplicationController (run/v1)."),
    Flag(name="restart", default="Always", help="Always, OnFailure or Never."),
    Flag(name="rm", kind="bool", help="Delete the pod when the attached session ends."),
    Flag(name="stdin", short="i", kind="bool", help="Keep stdin open."),
    Flag(name="tty", short="t", kind="bool", help="Allocate a terminal."),
)
_RESTART = ("Always", "OnFailure", "Never")


async def run(session: Session, arguments: list[str], dash: int) -> int | None:
    """Run the command."""
    values = session.values
    names = arguments[:dash] if dash >= 0 else arguments[:1]
    command = arguments[dash:] if dash >= 0 else arguments[1:]
    if len(names) != 1:
        raise KubectlError("NAME is required for run")
    name = names[0]
    _check(values)
    if values.generator == "run/v1":
        manifest, type_ = _controller(values, name, command), "replicationcontrollers"
    else:
        manifest, type_ = _pod(values, name, command), "pods"
    if values.overrides:
        manifest = _override(values, manifest)
    resource = (await session.mapper()).resource(type_)
    target = Target(resource=resource, namespace=session.namespace, name=name)
    created = await create(session, target, manifest)
    exposed = await _expose(session, name) if values.expose else None
    if _attaches(values) and dry_run_of(values) == "none":
        from sampan.kubectl.attach import attach_to_new_pod  # noqa: PLC0415 - start-up time

        return await attach_to_new_pod(session, created)
    report(session, target, created, "created", typed=True)
    if exposed is not None:
        report(session, *exposed, "created", typed=True)
    return None


def _check(values: Values) -> None:
    if not values.image:
        raise KubectlError('required flag(s) "image" not set')
    if " " in values.image or values.image != values.image.strip():
        raise KubectlError(f'Invalid image name "{values.image}": invalid reference format')
    if values.generator not in ("", "run/v1", "run-pod/v1"):
        raise KubectlError(f"generator {values.generator!r} is not known; run/v1 and run-pod/v1 are")
    if values.tty and not values.stdin:
        raise KubectlError("-i/--stdin is required for containers with -t/--tty=true")
    if values.restart not in _RESTART:
        raise KubectlError(f"invalid restart policy: {values.restart}, valid values are: Always, OnFailure, Never")
    if values.expose and not values.port:
        raise KubectlError("--port must be set when exposing a service")
    if values.rm and not _attaches(values):
        raise KubectlError("--rm should only be used for attached containers")
    if _attaches(values) and dry_run_of(values) != "none":
        raise KubectlError(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)"
        )


def _attaches(values: Values) -> bool:
    return bool(values.attach or (values.stdin and "attach" not in values.changed))


def _container(values: Values, name: str, command: list[str]) -> Object:
    container: Object = {"name": name, "image": values.image, "resources": {}}
    if command:
        container["command" if values.command else "args"] = command
    if values.port:
        container["ports"] = [{"containerPort": _port(values.port)}]
    if values.env:
        container["env"] = environment(values.env)
    if values.image_pull_policy:
        container["imagePullPolicy"] = values.image_pull_policy
    if values.stdin:
        container["stdin"] = True
        if not values.leave_stdin_open:
            container["stdinOnce"] = True
    if values.tty:
        container["tty"] = True
    if values.privileged:
        container["securityContext"] = {"privileged": True}
    return container


def _port(text: str) -> int:
    if not text.isdigit():
        raise KubectlError("--port must be a number")
    return int(text)


def _metadata(values: Values, name: str) -> Object:
    metadata: Object = {"name": name, "labels": pairs(values.labels, "label") if values.labels else {"run": name}}
    if values.annotations:
        metadata["annotations"] = dict(one.split("=", 1) for one in values.annotations)
    return metadata


def _pod(values: Values, name: str, command: list[str]) -> Object:
    spec = {
        "containers": [_container(values, name, command)],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": values.restart,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(values, name), "spec": spec, "status": {}}


def _controller(values: Values, name: str, command: list[str]) -> Object:
    """What kubectl's generator run/v1 made until v1.17."""
    metadata = _metadata(values, name)
    template = {
        "metadata": {"labels": metadata["labels"]},
        "spec": {"containers": [_container(values, name, command)]},
    }
    spec = {"replicas": values.replicas, "selector": metadata["labels"], "template": template}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": metadata, "spec": spec}


def _override(values: Values, manifest: Object) -> Object:
    try:
        overrides = json.loads(values.overrides)
    except ValueError as error:
        raise KubectlError("Invalid JSON Patch") from error
    if values.override_type != "merge":
        raise KubectlError(f"--override-type {values.override_type!r} is not supported; use merge")
    merged: Object = mergepatch.apply(manifest, overrides)
    return merged


async def _expose(session: Session, name: str) -> tuple[Target, Object]:
    values = session.values
    resource = (await session.mapper()).resource("services")
    target = Target(resource=resource, namespace=session.namespace, name=name)
    labels = pairs(values.labels, "label") if values.labels else {"run": name}
    port = _port(values.port)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": labels},
    }
    return target, await create(session, target, service)


RUN = Command(
    name="run",
    short="Create and run an image in a pod.",
    usage='NAME --image=image [--env="key=value"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] '
    "[--command] -- [COMMAND] [args...]",
    run=run,
    flags=_FLAGS,
)
