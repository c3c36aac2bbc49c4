"""How many pods that terms mean are on each node, kept up to date as pods come and go.

Two kinds of columns. `matching`: pods that all of some terms mean; computed when first asked for, then maintained, so a
thousand pods with one anti-affinity cost one scan. `carried`: for each distinct term that existing pods carry, how many
pods of each node carry it; an incoming pod is held against distinct terms, not against pods.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.scheduler.interface import Integers
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.terms import Term

Kind = Literal["affinity", "anti_affinity", "preferred"]

_ENTRIES = 256


@dataclass(slots=True)
class _Carried:
    counts: Integers
    total: int = 0


class PodCounts:
    """Columns of pod counts over a node table's rows."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self._matching: OrderedDict[tuple[Term, ...], Integers] = OrderedDict()
        self._carried: dict[Kind, dict[Term, _Carried]] = {"affinity": {}, "anti_affinity": {}, "preferred": {}}
        self._codes: dict[str, dict[str, int]] = {}

    def matching(self, *terms: Term) -> Integers:
        """Count, by row, the pods that all of these terms mean. Not to be changed."""
        found = self._matching.get(terms)
        if found is not None:
            self._matching.move_to_end(terms)
            return found
        found = np.zeros(self._table.rows, dtype=np.int64)
        for info in self._table.nodes.values():
            found[info.row] = sum(self._all_match(terms, pod) for pod in info.pods.values())
        self._matching[terms] = found
        if len(self._matching) > _ENTRIES:
            self._matching.popitem(last=False)
        return found

    def carried(self, kind: Kind) -> Iterator[tuple[Term, Integers]]:
        """Iterate over the distinct terms that pods on nodes carry, each with its count by row."""
        for term, entry in self._carried[kind].items():
            yield term, entry.counts

    def topology(self, key: str) -> Integers:
        """Number the values of a node label, by row: 0 where a node lacks it."""
        codes = self._codes.setdefault(key, {})
        return self._table.static(
            ("topology", key),
            lambda node: codes.setdefault(node.labels[key], len(codes) + 1) if key in node.labels else 0,
        )

    def by_domain(self, key: str, counts: Integers) -> Integers:
        """Sum counts over topology domains and give each row its domain's sum; 0 where the label is missing."""
        codes = self.topology(key)
        sums = np.bincount(codes, weights=counts).astype(np.int64)
        sums[0] = 0
        return sums[codes]

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Take a namespace's labels; None when it is gone."""
        if labels is None:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = labels
        for terms in [terms for terms in self._matching if any(one.namespace_selector is not None for one in terms)]:
            del self._matching[terms]

    def account(self, row: int, pod: PodInfo, sign: int) -> None:
        """Count a pod on a row in (1) or out (-1)."""
        for terms, counts in self._matching.items():
            if self._all_match(terms, pod):
                counts[row] += sign
        if pod.terms:
            for term in pod.terms.affinity:
                self._carry("affinity", term, row, sign)
            for term in pod.terms.anti_affinity:
                self._carry("anti_affinity", term, row, sign)
            for term in pod.terms.preferred:
                self._carry("preferred", term, row, sign)

    def grow(self, rows: int) -> None:
        """Follow the table to more rows."""
        self._matching.clear()
        for terms in self._carried.values():
            for entry in terms.values():
                entry.counts = np.concatenate((entry.counts, np.zeros(rows - len(entry.counts), dtype=np.int64)))

    def _carry(self, kind: Kind, term: Term, row: int, sign: int) -> None:
        entry = self._carried[kind].get(term)
        if entry is None:
            entry = self._carried[kind][term] = _Carried(np.zeros(self._table.rows, dtype=np.int64))
        entry.counts[row] += sign
        entry.total += sign
        if not entry.total:
            del self._carried[kind][term]

    def _all_match(self, terms: tuple[Term, ...], pod: PodInfo) -> bool:
        return all(term.matches(pod, self.namespaces) for term in terms)
