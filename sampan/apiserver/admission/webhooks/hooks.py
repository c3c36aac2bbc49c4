"""Webhook configurations as the server uses them: compiled once per stored version, in order of their names."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api import labels
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.labels import Selector
    from sampan.api.object import Object
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import ResourceStore

_EVERYTHING = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One webhook.

    uid: unique among all. client: its clientConfig. namespaces, objects: None selects all. timeout: seconds. memo: for
    what is compiled of it on first use.
    """

    uid: str
    configuration: str
    name: str
    client: Object
    ca: bytes
    rules: Sequence[Object]
    namespaces: Selector | None
    objects: Selector | None
    equivalent: bool
    ignores_failures: bool
    timeout: int
    side_effects: str
    versions: Sequence[str]
    reinvoked_if_needed: bool
    conditions: Sequence[Object]
    memo: dict[str, Any]


class Hooks:
    """All webhooks of one kind of configuration. store: of the configurations."""

    def __init__(self, store: Callable[[], ResourceStore]) -> None:
        self._store = store
        self._compiled: dict[str, tuple[Entry, list[Hook]]] = {}

    def current(self) -> Sequence[Hook]:
        """The webhooks in the order in which they are called; costs next to nothing where there are none."""
        store = self._store()
        if not len(store):
            return ()
        entries = store.list(_EVERYTHING).entries
        found: list[Hook] = []
        for entry in entries:
            known = self._compiled.get(entry.name)
            if known is None or known[0] is not entry:
                known = self._compiled[entry.name] = (entry, compile_hooks(entry.object))
            found += known[1]
        if len(self._compiled) > len(entries):
            present = {entry.name for entry in entries}
            self._compiled = {name: known for name, known in self._compiled.items() if name in present}
        return found


def compile_hooks(configuration: Object) -> list[Hook]:
    """Read one configuration."""
    name = configuration["metadata"]["name"]
    seen: dict[str, int] = {}
    found = []
    for hook in configuration.get("webhooks") or ():
        number = seen.get(hook["name"], 0)
        seen[hook["name"]] = number + 1
        client = hook.get("clientConfig") or {}
        found.append(
            Hook(
                uid=f"{name}/{hook['name']}/{number}", configuration=name, name=hook["name"], client=client,
                ca=b64decode(client.get("caBundle") or ""), rules=hook.get("rules") or (),
                namespaces=_selector(hook.get("namespaceSelector")), objects=_selector(hook.get("objectSelector")),
                equivalent=hook.get("matchPolicy") == "Equivalent", timeout=hook.get("timeoutSeconds") or 10,
                ignores_failures=hook.get("failurePolicy") == "Ignore", side_effects=hook.get("sideEffects") or "",
                versions=hook.get("admissionReviewVersions") or (), conditions=hook.get("matchConditions") or (),
                reinvoked_if_needed=hook.get("reinvocationPolicy") == "IfNeeded", memo={},
            )
        )  # fmt: skip
    return found


def _selector(raw: Object | None) -> Selector | None:
    if not raw or not (raw.get("matchLabels") or raw.get("matchExpressions")):
        return None
    return labels.from_object(raw)
