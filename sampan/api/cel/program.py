"""Compiling and running expressions: the one entrance for those who use CEL."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.api.cel import cost
from sampan.api.cel.ast import mentions
from sampan.api.cel.checker import check
from sampan.api.cel.errors import CompileError
from sampan.api.cel.evaluator import Compiler, Run
from sampan.api.cel.overloads import Functions
from sampan.api.cel.parser import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.cel.ast import Node
    from sampan.api.cel.types import Type

PER_CALL_LIMIT = 1_000_000
"""What one evaluation may cost at run time."""

BUDGET = 10_000_000
"""What all evaluations for one object may cost."""


@lru_cache(maxsize=1)
def kubernetes_functions() -> Functions:
    """The functions that every environment has."""
    from sampan.api.cel import libraries, standard  # noqa: PLC0415 - loaded with the first expression

    functions = Functions()
    standard.install(functions)
    libraries.install(functions)
    return functions


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What an expression may use. variables: their types. objects: types that it may build, by name."""

    variables: Mapping[str, Type]
    objects: Mapping[str, Type] = field(default_factory=dict)
    functions: Functions = field(default_factory=kubernetes_functions)


class Program:
    """A compiled expression. type: of its value."""

    __slots__ = ("_environment", "_run", "root", "source", "type")

    def __init__(self, source: str, root: Node, kind: Type, environment: Environment) -> None:
        self.source = source
        self.root = root
        self.type = kind
        self._environment = environment
        self._run = Compiler(environment.functions).compile(root)

    def evaluate(self, activation: Mapping[str, Any], cost_limit: int = PER_CALL_LIMIT) -> tuple[Any, int]:
        """Run on values; gives the result and what it cost. Raises CelError, CostExceededError."""
        run = Run(activation, cost_limit)
        return self._run(run), run.cost

    def estimated_cost(self) -> int:
        """The most that an evaluation may cost."""
        return cost.estimate(self.root, self._environment.functions)

    def uses(self, variable: str) -> bool:
        """Whether the expression mentions a variable."""
        return mentions(self.root, variable)


def compile(expression: str, environment: Environment) -> Program:  # noqa: A001 - the contract's name
    """Parse, check and compile. Raises CompileError."""
    root = parse(expression)
    try:
        kind = check(root, expression, environment.variables, environment.functions, environment.objects)
        return Program(expression, root, kind, environment)
    except RecursionError:
        raise CompileError([(0, "expression is nested too deeply")], expression) from None
