"""Pod templates: of controllers and of PodTemplate objects (``ValidatePodTemplateSpec``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec import podannotations
from sampan.apiserver.registry.core.podspec.spec import pod_spec
from sampan.apiserver.registry.validation import selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors


def template_labels(template: Object) -> dict[str, str] | None:
    """Return the labels, None when there are none: as messages show them."""
    return (template.get("metadata") or {}).get("labels") or None


def pod_template(errors: Errors, path: Path, template: Object, options: PodOptions) -> None:
    """path: of the template."""
    metadata = template.get("metadata") or {}
    spec = template.get("spec") or {}
    selectors.labels(errors, path.child("labels"), metadata.get("labels"))
    if values := metadata.get("annotations"):
        here = path.child("annotations")
        selectors.annotation_keys(errors, here, values)
        podannotations.pod_annotations(errors, here, values, spec, options)
    pod_spec(errors, path.child("spec"), spec, options)
    if values:
        podannotations.match_fields(errors, path.child("spec"), values, spec)
    if spec.get("ephemeralContainers"):
        where = path.child("spec", "ephemeralContainers")
        errors.append(field.forbidden(where, "ephemeral containers not allowed in pod template"))


def always_restarting(errors: Errors, path: Path, template: Object, kind: str) -> None:
    """What controllers of endlessly running pods refuse. kind: as messages name the controller."""
    spec = template.get("spec") or {}
    restart = spec.get("restartPolicy", "")
    if restart != "Always":
        errors.append(field.not_supported(path.child("spec", "restartPolicy"), restart, ("Always",)))
    if "activeDeadlineSeconds" in spec:
        where = path.child("spec", "activeDeadlineSeconds")
        errors.append(field.forbidden(where, f"activeDeadlineSeconds in {kind} is not Supported"))
