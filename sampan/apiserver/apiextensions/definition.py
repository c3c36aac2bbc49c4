"""A CustomResourceDefinition as the server works with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.apiextensions.version import ServedVersion

if TYPE_CHECKING:
    from sampan.api.object import Object

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class Definition:
    """One definition at one revision. terminating: no instance may be created any more."""

    def __init__(self, obj: Object) -> None:
        self.object = obj
        spec = obj["spec"]
        self.name: str = obj["metadata"]["name"]
        self.uid: str = obj["metadata"].get("uid", "")
        self.group: str = spec["group"]
        self.terminating = bool(obj["metadata"].get("deletionTimestamp"))
        self.versions = [ServedVersion(obj, version) for version in spec["versions"]]
        self.storage = next(one for one in self.versions if one.raw.get("storage"))
        self.established = condition(obj, "Established") == "True"

    @property
    def converts_by_webhook(self) -> bool:
        """Whether a webhook converts between versions."""
        return bool((self.object["spec"].get("conversion") or {}).get("strategy") == "Webhook")

    @property
    def plural(self) -> str:
        return self.storage.info.resource

    @property
    def served(self) -> list[ServedVersion]:
        """The versions that clients may use."""
        return [one for one in self.versions if one.raw.get("served")]

    def by_name(self, name: str) -> ServedVersion | None:
        """A version by its name."""
        return next((one for one in self.versions if one.name == name), None)

    def differs(self, other: Definition) -> bool:
        """Whether what is served differs."""
        mine, its = self.object, other.object
        return (
            mine["spec"] != its["spec"]
            or self.uid != other.uid
            or self.terminating != other.terminating
            or self.established != other.established
            or mine["status"].get("acceptedNames") != its["status"].get("acceptedNames")
        )


def condition(obj: Object, kind: str) -> str:
    """The status of a condition, "" when it is not there."""
    for one in (obj.get("status") or {}).get("conditions") or ():
        if one.get("type") == kind:
            return one.get("status", "")  # type: ignore[no-any-return]
    return ""
