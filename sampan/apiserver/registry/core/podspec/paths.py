"""File paths in pod specs: relative, without steps back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors


def no_backsteps(errors: Errors, path: Path, value: str) -> None:
    if ".." in value and ".." in value.split("/"):
        errors.append(field.invalid(path, value, "must not contain '..'"))


def local_descending(errors: Errors, path: Path, value: str) -> None:
    """A relative path that stays below its root."""
    if value.startswith("/"):
        errors.append(field.invalid(path, value, "must be a relative path"))
    no_backsteps(errors, path, value)


def local_nonreserved(errors: Errors, path: Path, value: str) -> None:
    """The same, and no name that an atomic writer of volumes uses itself."""
    local_descending(errors, path, value)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(field.invalid(path, value, "must not start with '..'"))


def key_to_path(errors: Errors, path: Path, item: Object) -> None:
    """A key of a ConfigMap or Secret and the file that it becomes."""
    names.required(errors, path.child("key"), item.get("key"))
    names.required(errors, path.child("path"), item.get("path"))
    local_nonreserved(errors, path.child("path"), item.get("path", ""))
    numbers.file_mode(errors, path.child("mode"), item.get("mode"))
