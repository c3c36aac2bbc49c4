"""The plug-ins of a server, in kube-apiserver's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.apiserver.admission.interface import AdmissionServices


def build(services: AdmissionServices) -> list[Any]:
    """Make every plug-in that is on by default."""
    del services
    return []
