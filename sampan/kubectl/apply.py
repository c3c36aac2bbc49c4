"""`kubectl apply`: bring objects to what files say, by a three-way patch or by the server's own apply."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.client.interface import APPLY_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, Failures, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import VALIDATE_FLAGS, WRITE_FLAGS, dry_run_of, manager_flag, report, write_query

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.session import Session

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    *VALIDATE_FLAGS,
    manager_flag("client-side-apply"),
    Flag(name="all", kind="bool", help="Accepted for compatibility."),
    Flag(name="cascade", default="background", bare="background", help="Accepted for compatibility."),
    Flag(name="force", kind="bool", help="Accepted for compatibility."),
    Flag(name="force-conflicts", kind="bool", help="Take over fields that others own (--server-side)."),
    Flag(name="overwrite", kind="bool", default=True, help="Let the files win over changes made by others."),
    Flag(name="selector", short="l", help="Only objects of the files with these labels."),
    Flag(name="server-side", kind="bool", help="Let the server merge."),
    Flag(name="subresource", help="Apply to this subresource (--server-side)."),
    Flag(name="wait", kind="bool", help="Accepted for compatibility."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if arguments:
        raise KubectlError(f"Unexpected args: [{' '.join(arguments)}]\nSee 'kubectl apply -h' for help and examples")
    if not values.filename:
        raise KubectlError("must specify one of -f and -k")
    if values.force_conflicts and not values.server_side:
        raise KubectlError("--force-conflicts only works with --server-side")
    if values.server_side and dry_run_of(values) == "client":
        raise KubectlError("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
    targets = await from_files(session)
    if values.selector:
        targets = [one for one in targets if _matches(values.selector, one)]
    if not targets:
        raise KubectlError("no objects passed to apply")
    failures = Failures()
    for target in targets:
        try:
            await (_apply_on_server(session, target) if values.server_side else _apply(session, target))
        except APIStatusError as error:
            failures.add(error)
    failures.finish()


def _matches(selector: str, target: Target) -> bool:
    from sampan.api import labels  # noqa: PLC0415 - start-up time

    return labels.parse(selector).matches((target.obj or {})["metadata"].get("labels") or {})


async def _apply(session: Session, target: Target) -> None:
    values, strategy = session.values, dry_run_of(session.values)
    modified = with_annotation(target.obj or {})
    try:
        current = await session.json("GET", target.path)
    except NotFound:
        path = target.resource.path(target.namespace)
        created = modified
        if strategy != "client":
            try:
                created = await session.json("POST", path, query=write_query(values), body=modified)
            except APIStatusError as error:
                raise KubectlFailure.creating(error, target) from error
        report(session, target, created, "created")
        return
    annotations = current["metadata"].get("annotations") or {}
    if LAST_APPLIED not in annotations and strategy != "client":
        print(
            f"Warning: resource {target.resource.gvr.resource}/{target.name} is missing the {LAST_APPLIED} annotation "
            "which is required by kubectl apply. kubectl apply should only be used on resources created declaratively "
            "by either kubectl create --save-config or kubectl apply. The missing annotation will be patched "
            "automatically.",
            file=sys.stderr,
        )
    patch, content_type = three_way(target, current, modified)
    if not patch:
        report(session, target, current, "unchanged")
        return
    result = current
    if strategy != "client":
        try:
            result = await session.json(
                "PATCH", target.path, query=write_query(values), body=patch, content_type=content_type
            )
        except APIStatusError as error:
            raise KubectlFailure.patching(error, target, patch) from error
    same = result["metadata"].get("resourceVersion") == current["metadata"].get("resourceVersion")
    report(session, target, result, "unchanged" if same and strategy == "none" else "configured")


class KubectlFailure:
    """Errors of apply, with what was being done."""

    @staticmethod
    def creating(error: APIStatusError, target: Target) -> APIStatusError:
        if error.reason == "Invalid":
            return error
        return _again(error, f'error when creating "{target.source}": {error.message}')

    @staticmethod
    def patching(error: APIStatusError, target: Target, patch: Object) -> APIStatusError:
        if error.reason == "Invalid":
            return error
        resource = target.resource
        text = json.dumps(patch, separators=(",", ":"), sort_keys=True)
        group = f"{resource.gvr.group}/{resource.gvr.version}" if resource.gvr.group else f"/{resource.gvr.version}"
        kind = f"{resource.kind.api_version if resource.kind.group else '/' + resource.kind.version}"
        return _again(
            error,
            f'error when applying patch:\n{text}\nto:\nResource: "{group}, Resource={resource.gvr.resource}", '
            f'GroupVersionKind: "{kind}, Kind={resource.kind.kind}"\nName: "{target.name}", Namespace: '
            f'"{target.namespace}"\nfor: "{target.source}": error when patching "{target.source}": {error.message}',
        )


def _again(error: APIStatusError, message: str) -> APIStatusError:
    return type(error)(message, code=error.code, details=error.details)


def with_annotation(obj: Object) -> Object:
    """The object with the annotation that holds it as applied."""
    metadata = obj["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    bare = {**obj, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(bare, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return {**obj, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: f"{text}\n"}}}


def three_way(target: Target, current: Object, modified: Object) -> tuple[Object, str]:
    """The patch that an apply sends, and its content type."""
    from sampan.api.schema import type_of  # noqa: PLC0415 - start-up time
    from sampan.api.strategicdiff import three_way as strategic  # noqa: PLC0415 - start-up time
    from sampan.kubectl import threeway  # noqa: PLC0415 - start-up time

    text = (current["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    original = json.loads(text) if text else {}
    try:
        info = type_of(target.resource.kind)
    except LookupError:
        return threeway.json_merge(original, modified, current), MERGE_PATCH
    return strategic(info, original, modified, current), STRATEGIC_MERGE_PATCH


async def _apply_on_server(session: Session, target: Target) -> None:
    values = session.values
    query = write_query(values)
    if "field-manager" not in values.changed:
        query["fieldManager"] = "kubectl"
    query["force"] = str(values.force_conflicts).lower()
    path = target.resource.path(target.namespace, target.name, values.subresource)
    try:
        result = await session.json("PATCH", path, query=query, body=target.obj, content_type=APPLY_PATCH)
    except Conflict as error:
        raise KubectlError(
            f"{error.message}\nPlease review the fields above--they currently have other managers. Here\n"
            "are the ways you can resolve this warning:\n"
            "* If you intend to manage all of these fields, please re-run the apply\n"
            "  command with the `--force-conflicts` flag.\n"
            "* If you do not intend to manage all of the fields, please edit your\n"
            "  manifest to remove references to the fields that should keep their\n"
            "  current managers.\n"
            "* You may co-own fields by updating your manifest to match the existing\n"
            "  value; in this case, you'll become the manager if the other manager(s)\n"
            "  stop managing the field (remove it from their configuration).\n"
            "See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"
        ) from error
    report(session, target, result, "serverside-applied")


APPLY = Command(
    name="apply",
    short="Apply a configuration to a resource by file name or stdin.",
    usage="-f FILENAME",
    run=run,
    flags=_FLAGS,
)
