"""`kubectl create`: from files, or by a generator for one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.builder import FILE_FLAGS, Failures, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.generators import GENERATORS
from sampan.kubectl.writing import VALIDATE_FLAGS, WRITE_FLAGS, create, manager_flag, report

if TYPE_CHECKING:
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    *VALIDATE_FLAGS,
    manager_flag("create"),
    Flag(name="edit", kind="bool", help="Edit the object before it is created."),
    Flag(name="raw", help="Path to POST the file to."),
    Flag(name="save-config", kind="bool", help="Keep the object in its annotation, for apply."),
    Flag(name="selector", short="l", help="Only objects of the files with these labels."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if arguments:
        raise KubectlError(f"Unexpected args: [{' '.join(arguments)}]\nSee 'kubectl create -h' for help and examples")
    if not values.filename:
        raise KubectlError("must specify one of -f and -k")
    failures = Failures()
    for target in await from_files(session):
        obj = target.obj or {}
        if values.save_config:
            from sampan.kubectl.apply import with_annotation  # noqa: PLC0415 - start-up time

            obj = with_annotation(obj)
        try:
            created = await create(session, target, obj)
        except APIStatusError as error:
            if error.reason != "Invalid":
                message = f'error when creating "{target.source}": {error.message}'
                error = type(error)(message, code=error.code, details=error.details)
            failures.add(error)
            continue
        name = created["metadata"].get("name", target.name)
        report(
            session, type(target)(resource=target.resource, namespace=target.namespace, name=name), created, "created"
        )
    failures.finish()


CREATE = Command(
    name="create",
    short="Create a resource from a file or from stdin.",
    usage="-f FILENAME",
    run=run,
    flags=_FLAGS,
    subcommands=GENERATORS,
)
