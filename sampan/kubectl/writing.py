"""What every writing command shares: dry run, field manager, and the line or object that it prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import OUTPUT_FLAGS, printer

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.flags import Values
    from sampan.kubectl.session import Session

DRY_RUN_FLAGS = (Flag(name="dry-run", default="none", bare="unchanged", help="none, client or server."),)
VALIDATE_FLAGS = (
    Flag(name="validate", default="strict", bare="strict", help="strict, warn or ignore unknown fields."),
    Flag(name="openapi-patch", kind="bool", default=True, help="Accepted for compatibility."),
)
WRITE_FLAGS = (*DRY_RUN_FLAGS, *OUTPUT_FLAGS)


_VALIDATION = {"strict": "Strict", "true": "Strict", "warn": "Warn", "ignore": "Ignore", "false": "Ignore"}


def manager_flag(command: str) -> Flag:
    """--field-manager with the command's default."""
    return Flag(name="field-manager", default=f"kubectl-{command}", help="Who owns the fields that are set.")


def dry_run_of(values: Values) -> str:
    """The dry-run strategy: "none", "client" or "server". Raises KubectlError."""
    match values.get("dry-run", "none"):
        case "none" | "client" | "server":
            return str(values.get("dry-run", "none"))
        case "unchanged":
            raise KubectlError(
                '--dry-run flag without a value was specified. A value must be set: "none", "server", or "client".'
            )
        case other:
            raise KubectlError(f'Invalid dry-run value ({other}). Must be "none", "server", or "client".')


def write_query(values: Values) -> dict[str, str]:
    """The parameters of a write: field manager, validation, server-side dry run."""
    query = {}
    if manager := values.get("field-manager"):
        query["fieldManager"] = manager
    if (level := values.get("validate")) is not None:
        query["fieldValidation"] = _VALIDATION.get(level, "Strict")
    if dry_run_of(values) == "server":
        query["dryRun"] = "All"
    return query


def report(session: Session, target: Target, obj: Object, what: str, *, typed: bool = False) -> None:
    """Print what was done: ``pod/x created``, or the object under -o. typed: kubectl made it itself."""
    values = session.values
    if values.output == "name" or not values.output:
        suffix = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run_of(values)]
        line = target.shown if values.output else f"{target.shown} {what}{suffix}"
        print(line)
        return
    sys.stdout.write(printer(values, typed=typed)(with_type(obj, target)))


def with_type(obj: Object, target: Target) -> Object:
    """The object with kind and apiVersion, which list items lack."""
    if "kind" in obj:
        return obj
    return {"apiVersion": target.resource.kind.api_version, "kind": target.resource.kind.kind, **obj}


async def create(session: Session, target: Target, obj: Object) -> Object:
    """Post a new object; under --dry-run=client return it as it stands."""
    if dry_run_of(session.values) == "client":
        return obj
    path = target.resource.path(target.namespace)
    return await session.json("POST", path, query=write_query(session.values), body=obj)
