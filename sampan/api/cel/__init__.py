"""CEL as Kubernetes speaks it: ``compile(expression, environment)`` gives a `Program` that runs on values of JSON.

Used by CustomResourceDefinitions' rules, admission policies and match conditions. Language: CEL specification;
libraries: those of kube-apiserver v1.36.
"""

from sampan.api.cel.errors import CelError, CompileError, CostExceededError
from sampan.api.cel.program import Environment, Program, compile  # noqa: A004
from sampan.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    Type,
    list_of,
    map_of,
    object_type,
    optional_of,
)

__all__ = [
    "BOOL", "BYTES", "DOUBLE", "DYN", "INT", "NULL", "STRING", "CelError", "CompileError", "CostExceededError",
    "Environment", "Program", "Type", "compile", "list_of", "map_of", "object_type", "optional_of",
]  # fmt: skip
