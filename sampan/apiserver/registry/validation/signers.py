"""Signer names: ``domain/path`` of CertificateSigningRequests and trust bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation.names import label_messages, subdomain_messages

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.apiserver.registry.validation.names import Errors


def signer_name(errors: Errors, path: Path, value: str) -> None:
    """A subdomain, a slash, and a path of subdomains joined by dots."""
    if not value:
        errors.append(field.required(path))
        return
    segments = value.split("/")
    if len(segments) != 2:
        detail = 'must be a fully qualified domain and path of the form "example.com/signer-name"'
        errors.append(field.invalid(path, value, detail))
        return
    domain, name = segments
    labels = domain.split(".")
    if len(labels) < 2:
        detail = "should be a domain with at least two segments separated by dots"
        errors.append(field.invalid(path, domain, detail))
    for message in subdomain_messages(domain):
        errors.append(field.invalid(path, domain, f"validating label {field.go_quote(domain)}: {message}"))
    for label in labels:
        for message in label_messages(label):
            errors.append(field.invalid(path, domain, f"validating label {field.go_quote(label)}: {message}"))
    for message in subdomain_messages(name):
        errors.append(field.invalid(path, name, f"validating label {field.go_quote(name)}: {message}"))
    if len(value) > 571:
        errors.append(field.too_long(path, value, 571))
