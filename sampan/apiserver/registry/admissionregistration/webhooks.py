"""Validating and mutating webhook configurations."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.admissionregistration.rules import match_conditions, resource_rule
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_WEBHOOKS = Path("webhooks")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_REVIEWS = ("v1", "v1beta1")


class ValidatingWebhookStrategy(Strategy):
    """Validating webhook configurations."""

    has_status = False
    tracks_generation = True
    mutating = False

    def default(self, obj: Object) -> None:
        for hook in obj.get("webhooks") or ():
            for key, value in (
                ("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10),
            ):  # fmt: skip
                if hook.get(key) is None:
                    hook[key] = value
            for key in ("namespaceSelector", "objectSelector"):
                if hook.get(key) is None:
                    hook[key] = {}
            if self.mutating and hook.get("reinvocationPolicy") is None:
                hook["reinvocationPolicy"] = "Never"
            service = (hook.get("clientConfig") or {}).get("service")
            if service is not None and service.get("port") is None:
                service["port"] = 443
            for rule in hook.get("rules") or ():
                if rule.get("scope") is None:
                    rule["scope"] = "*"

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        seen: set[str] = set()
        for position, hook in enumerate(obj.get("webhooks") or ()):
            path, name = _WEBHOOKS.index(position), hook.get("name", "")
            _hook(errors, path, hook, name, mutating=self.mutating)
            if name in seen:
                errors.append(field.duplicate(path.child("name"), name))
            seen.add(name)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


class MutatingWebhookStrategy(ValidatingWebhookStrategy):
    """Mutating webhook configurations."""

    mutating = True


def fully_qualified(errors: Errors, path: Path, name: str) -> None:
    """At least three segments of a subdomain."""
    if not name:
        errors.append(field.required(path))
    elif messages := names.subdomain_messages(name):
        errors.append(field.invalid(path, name, ",".join(messages)))
    elif len(name.split(".")) < 3:
        errors.append(field.invalid(path, name, "should be a domain with at least three segments separated by dots"))


def _hook(errors: Errors, path: Path, hook: Object, name: str, *, mutating: bool) -> None:
    fully_qualified(errors, path.child("name"), name)
    for index, rule in enumerate(hook.get("rules") or ()):
        resource_rule(errors, path.child("rules").index(index), rule)
    if hook.get("failurePolicy") is not None:
        names.one_of(errors, path.child("failurePolicy"), hook["failurePolicy"], ("Fail", "Ignore"))
    if hook.get("matchPolicy") is not None:
        names.one_of(errors, path.child("matchPolicy"), hook["matchPolicy"], ("Equivalent", "Exact"))
    effects = hook.get("sideEffects")
    if effects is None:
        errors.append(field.required(path.child("sideEffects"), "must specify one of None, NoneOnDryRun"))
    else:
        names.one_of(errors, path.child("sideEffects"), effects, _SIDE_EFFECTS)
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        errors.append(field.invalid(path.child("timeoutSeconds"), timeout, detail))
    for key in ("namespaceSelector", "objectSelector"):
        selectors.label_selector(errors, path.child(key), hook.get(key))
    client_config(errors, path.child("clientConfig"), hook.get("clientConfig") or {}, what="url or service")
    if mutating and hook.get("reinvocationPolicy") is not None:
        policies = ("IfNeeded", "Never")
        names.one_of(errors, path.child("reinvocationPolicy"), hook["reinvocationPolicy"], policies)
    _reviews(errors, path.child("admissionReviewVersions"), hook.get("admissionReviewVersions") or [])
    match_conditions(errors, path.child("matchConditions"), hook.get("matchConditions") or [])


def _reviews(errors: Errors, path: Path, versions: list[str]) -> None:
    if not versions:
        detail = f"must specify one of {', '.join(_REVIEWS)}"
        errors.append(field.required(path, detail))
        return
    seen: set[str] = set()
    for position, version in enumerate(versions):
        if version in seen:
            errors.append(field.invalid(path.index(position), version, "duplicate version"))
            continue
        seen.add(version)
        names.dns1035_label(errors, path.index(position), version)
    if not seen & set(_REVIEWS):
        detail = f"must include at least one of {', '.join(_REVIEWS)}"
        errors.append(field.invalid(path, versions, detail))


def client_config(errors: Errors, path: Path, config: Object, *, what: str) -> None:
    """Where a webhook is: a URL or a service. what: as the message names the choice."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errors.append(field.required(path, f"exactly one of {what} is required"))
    elif url is not None:
        _url(errors, path.child("url"), url)
    elif service is not None:
        _service(errors, path.child("service"), service)


def _url(errors: Errors, path: Path, url: str) -> None:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        errors.append(field.required(path, f"url must be a valid URL: {error}{form}"))
        return
    if parts.scheme != "https":
        detail = f"'https' is the only allowed URL scheme{form}"
        errors.append(field.invalid(path, parts.scheme, detail))
    if not parts.netloc:
        errors.append(field.invalid(path, parts.netloc, f"host must be specified{form}"))
    if parts.username is not None:
        errors.append(field.invalid(path, parts.username, "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(field.invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(field.invalid(path, parts.query, "query parameters are not permitted in the URL"))


def _service(errors: Errors, path: Path, service: Object) -> None:
    for key in ("name", "namespace"):
        if not service.get(key):
            errors.append(field.required(path.child(key), f"service {key} is required"))
    port = service.get("port", 0)
    if not 1 <= port <= 65535:
        detail = "port is not valid: " + numbers.in_range(1, 65535)
        errors.append(field.invalid(path.child("port"), port, detail))
    value = service.get("path")
    if value is not None:
        _service_path(errors, path.child("path"), value)


def _service_path(errors: Errors, path: Path, value: str) -> None:
    if value in ("/", ""):
        return
    if value == "//":
        errors.append(field.invalid(path, value, "segment[0] may not be empty"))
        return
    if not value.startswith("/"):
        errors.append(field.invalid(path, value, "must start with a '/'"))
    checked = value.removesuffix("/").removeprefix("/")
    for position, part in enumerate(checked.split("/")):
        if not part:
            errors.append(field.invalid(path, value, f"segment[{position}] may not be empty"))
            continue
        for message in names.subdomain_messages(part):
            errors.append(field.invalid(path, value, f"segment[{position}]: {message}"))
