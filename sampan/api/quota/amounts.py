"""Lists of resources as the API spells them: sums, differences, comparisons, and how messages print them.

Behaviour: k8s.io/apiserver/pkg/quota/v1, resources.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

Amounts = dict[str, str]
"""Resource name to quantity in canonical spelling."""


def add(left: Mapping[str, str], right: Mapping[str, str]) -> Amounts:
    """Sum by resource; what only one has stays as it is."""
    total = dict(left)
    for name, amount in right.items():
        total[name] = quantity.add(total[name], amount) if name in total else amount
    return total


def subtract_to_zero(left: Mapping[str, str], right: Mapping[str, str]) -> Amounts:
    """What left has more than right; never negative."""
    found: Amounts = {}
    for name, amount in left.items():
        rest = quantity.subtract(amount, right[name]) if name in right else amount
        found[name] = "0" if quantity.parse(rest) < 0 else rest
    return found | {name: "0" for name in right if name not in left}


def mask(amounts: Mapping[str, str], names: Container[str]) -> Amounts:
    """Only the named resources."""
    return {name: amount for name, amount in amounts.items() if name in names}


def without_zeros(amounts: Mapping[str, str]) -> Amounts:
    return {name: amount for name, amount in amounts.items() if quantity.parse(amount)}


def negative(amounts: Mapping[str, str]) -> list[str]:
    """Resources with less than nothing."""
    return [name for name, amount in amounts.items() if quantity.parse(amount) < 0]


def exceeding(amounts: Mapping[str, str], limits: Mapping[str, str]) -> list[str]:
    """Resources of which there is more than their limit."""
    return [name for name, amount in amounts.items() if name in limits and quantity.compare(amount, limits[name]) > 0]


def equal(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    return left.keys() == right.keys() and all(quantity.compare(left[name], right[name]) == 0 for name in left)


def text(amounts: Mapping[str, str]) -> str:
    """Print as messages do: ``cpu=1,pods=2``, by name."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def names_text(names: Iterable[str]) -> str:
    """Print names as messages do."""
    return ",".join(sorted(names))
