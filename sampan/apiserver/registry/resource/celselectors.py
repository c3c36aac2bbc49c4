"""CEL selectors of devices: ``device.attributes["driver.example.com"].model == "large"``.

Behaviour: k8s.io/dynamic-resource-allocation/cel, and the resource API's validation of what it says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api import field

if TYPE_CHECKING:
    from sampan.api import cel
    from sampan.api.field import Path
    from sampan.apiserver.registry.validation.names import Errors

_MAX_COST = 1_000_000
_MAX_ENTRIES = 32
"""Attributes and capacities that a device may have."""
_DOMAIN_LENGTH, _NAME_LENGTH = 63, 32


@lru_cache(maxsize=1)
def _environment() -> cel.Environment:
    from sampan.api import cel  # noqa: PLC0415 - loaded with the first expression
    from sampan.api.cel import types as t  # noqa: PLC0415

    domain, name = t.Type("string", size=_DOMAIN_LENGTH), t.Type("string", size=_NAME_LENGTH)

    def by_domain(value: t.Type) -> t.Type:
        return t.map_of(domain, t.map_of(name, value, _MAX_ENTRIES), _MAX_ENTRIES)

    fields = {
        "driver": domain, "attributes": by_domain(t.DYN), "capacity": by_domain(t.QUANTITY),
        "allowMultipleAllocations": t.BOOL,
    }  # fmt: skip
    return cel.Environment(variables={"device": t.object_type("kubernetes.DRADevice", lambda: fields)})


def check(errors: Errors, path: Path, expression: str) -> None:
    """Report what is wrong with an expression."""
    from sampan.api import cel  # noqa: PLC0415 - loaded with the first expression

    try:
        program = cel.compile(expression, _environment())
    except cel.CompileError as error:
        errors.append(field.invalid(path, expression, f"compilation failed: {error}"))
        return
    if program.type not in (cel.BOOL, cel.DYN):
        why = f"must evaluate to bool or the unknown type, not {program.type}"
        errors.append(field.invalid(path, expression, why))
    elif program.estimated_cost() > _MAX_COST:
        errors.append(field.forbidden(path, "too complex, exceeds cost limit"))
