"""The public API grows only by a reviewed change of the list beside this file.

Public are `sampan.client`, `sampan.runtime` and `sampan.testing` (what their `__all__` names), and the plug-in
interfaces (every public name that such a module defines). All else is internal.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = ("sampan.client", "sampan.runtime", "sampan.testing")
INTERFACES = (
    "sampan.apiserver.admission.interface",
    "sampan.apiserver.authz.interface",
    "sampan.apiserver.storage.interface",
    "sampan.runtime.interface",
    "sampan.scheduler.interface",
)
_LIST = Path(__file__).with_name("exported_names.txt")


def defined_names(module: ModuleType) -> list[str]:
    """Public names that a module defines itself: its classes and functions, and its constants."""
    return sorted(
        name
        for name, value in vars(module).items()
        if (callable(value) or name.isupper())
        and getattr(value, "__module__", module.__name__) == module.__name__
        and not name.startswith("_")
        and name != "TYPE_CHECKING"
    )


def exported_names() -> list[str]:
    found = [f"{package}.{name}" for package in PACKAGES for name in sorted(import_module(package).__all__)]
    for interface in INTERFACES:
        found += [f"{interface}.{name}" for name in defined_names(import_module(interface))]
    return found


def test_exported_names_are_those_of_the_checked_in_list():
    assert exported_names() == _LIST.read_text().splitlines(), f"if that is meant: change {_LIST.name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_names_can_be_imported(package):
    module = import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'sampan.client' has no attribute 'nothing'"):
        import_module("sampan.client").nothing  # noqa: B018
