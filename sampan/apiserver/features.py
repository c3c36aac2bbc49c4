"""Feature gates of v1.36 and whether they are on: Kubernetes' defaults."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.schema import data


class _Features(Mapping[str, bool]):
    """Read from the facts when first asked."""

    def __init__(self) -> None:
        self._gates: dict[str, bool] | None = None

    def _load(self) -> dict[str, bool]:
        if self._gates is None:
            self._gates = {name: bool(default) for name, (_, default) in data.load("feature-gates.json").items()}
        return self._gates

    def __getitem__(self, name: str) -> bool:
        return self._load().get(name, False)

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


FEATURES: Mapping[str, bool] = _Features()
