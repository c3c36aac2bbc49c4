"""Ingresses and IngressClasses."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.api.names import HTTP_PATH_MESSAGE, is_http_path, is_wildcard_dns1123_subdomain
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import addresses, names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")


class IngressStrategy(Strategy):
    """Ingresses."""

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        annotation = (obj["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
        name = obj["spec"].get("ingressClassName")
        if annotation is not None and name is not None and annotation != name:
            where = Path("annotations").child(_CLASS_ANNOTATION)
            errors.append(field.invalid(where, annotation, "must match `ingressClassName` when both are specified"))
        _spec(errors, obj["spec"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _spec(errors, new["spec"])
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        items = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        for position, one in enumerate(items):
            path = Path("status").child("loadBalancer", "ingress").index(position)
            address, host = one.get("ip", ""), one.get("hostname", "")
            if address:
                addresses.valid_ip(errors, path.child("ip"), address)
            if host:
                names.dns_subdomain(errors, path.child("hostname"), host)
                if addresses.parse_ip(host) is not None:
                    detail = "must be a DNS name, not an IP address"
                    errors.append(field.invalid(path.child("hostname"), host, detail))
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        if _CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            return [
                (
                    f"annotation {field.go_quote(_CLASS_ANNOTATION)} is deprecated, "
                    "please use 'spec.ingressClassName' instead"
                )
            ]
        return []


def _spec(errors: Errors, spec: Object) -> None:
    backend, rules = spec.get("defaultBackend"), spec.get("rules") or []
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        errors.append(field.invalid(_SPEC, spec.get("rules"), detail))
    if backend is not None:
        _backend(errors, _SPEC.child("defaultBackend"), backend)
    for position, rule in enumerate(rules):
        _rule(errors, _SPEC.child("rules").index(position), rule)
    for position, tls in enumerate(spec.get("tls") or ()):
        path = _SPEC.child("tls").index(position)
        for index, host in enumerate(tls.get("hosts") or ()):
            _tls_host(errors, path.child("hosts").index(index), host)
        if tls.get("secretName"):
            names.dns_subdomain(errors, path.child("secretName"), tls["secretName"])
    if "ingressClassName" in spec:
        names.dns_subdomain(errors, _SPEC.child("ingressClassName"), spec["ingressClassName"])


def _tls_host(errors: Errors, path: Path, host: str) -> None:
    if "*" in host:
        names.report(errors, path, host, is_wildcard_dns1123_subdomain(host))
    else:
        names.dns_subdomain(errors, path, host)


def _rule(errors: Errors, path: Path, rule: Object) -> None:
    host = rule.get("host", "")
    if host:
        where = path.child("host")
        if addresses.parse_ip(host) is not None:
            errors.append(field.invalid(where, host, "must be a DNS name, not an IP address"))
        _tls_host(errors, where, host)
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or []
    if not paths:
        errors.append(field.required(path.child("http", "paths")))
    for position, one in enumerate(paths):
        _path(errors, path.child("http", "paths").index(position), one)


def _path(errors: Errors, here: Path, one: Object) -> None:
    kind, value, where = one.get("pathType"), one.get("path", ""), here.child("path")
    if kind is None:
        errors.append(field.required(here.child("pathType"), "pathType must be specified"))
    elif kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            errors.append(field.invalid(where, value, "must be an absolute path"))
        if value:
            errors += [
                field.invalid(where, value, f"must not contain '{part}'") for part in _BAD_PARTS if part in value
            ]
            errors += [
                field.invalid(where, value, f"cannot end with '{part}'") for part in _BAD_ENDS if value.endswith(part)
            ]
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            errors.append(field.invalid(where, value, "must be an absolute path"))
    else:
        errors.append(field.not_supported(here.child("pathType"), kind, _PATH_TYPES))
    _backend(errors, here.child("backend"), one.get("backend") or {})


def _backend(errors: Errors, path: Path, backend: Object) -> None:  # noqa: C901 - one check a field
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.append(field.invalid(path, "", "cannot set both resource and service backends"))
        return
    if resource is not None:
        for key in ("kind", "name"):
            if not resource.get(key):
                errors.append(field.required(path.child("resource", key)))
        if resource.get("apiGroup"):
            names.dns_subdomain(errors, path.child("resource", "apiGroup"), resource["apiGroup"])
        return
    if service is None:
        errors.append(field.invalid(path, "", "resource or service backend is required"))
        return
    name, port = service.get("name", ""), service.get("port") or {}
    if not name:
        errors.append(field.required(path.child("service", "name")))
    else:
        names.dns_label(errors, path.child("service", "name"), name)
    if port.get("name") and port.get("number"):
        errors.append(field.invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        numbers.port_or_name(errors, path.child("service", "port", "name"), port["name"])
    elif port.get("number"):
        numbers.port(errors, path.child("service", "port", "number"), port["number"])
    else:
        errors.append(field.required(path, "port name or number is required"))


class IngressClassStrategy(Strategy):
    """Ingress classes."""

    has_status = False
    tracks_generation = True

    def default(self, obj: Object) -> None:
        parameters = obj.setdefault("spec", {}).get("parameters")
        if parameters is not None and parameters.get("scope") is None:
            parameters["scope"] = "Cluster"

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        controller, parameters = obj["spec"].get("controller", ""), obj["spec"].get("parameters")
        where = _SPEC.child("controller")
        if len(controller) > 250:
            errors.append(field.too_long(where, controller, 250))
        domain_prefixed_path(errors, where, controller)
        if parameters is not None:
            _parameters(errors, _SPEC.child("parameters"), parameters)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        controller = new["spec"].get("controller", "")
        if controller != (old.get("spec") or {}).get("controller", ""):
            errors.append(field.invalid(_SPEC.child("controller"), controller, "field is immutable"))
        if (parameters := new["spec"].get("parameters")) is not None:
            _parameters(errors, _SPEC.child("parameters"), parameters)
        return errors


def domain_prefixed_path(errors: Errors, path: Path, value: str) -> None:
    """``example.com/name``."""
    if not value:
        errors.append(field.required(path))
        return
    domain, slash, rest = value.partition("/")
    if not slash or not domain or not rest:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        errors.append(field.invalid(path, value, detail))
        return
    for message in names.subdomain_messages(domain):
        errors.append(field.invalid(path, domain, message))
    if not is_http_path(rest):
        errors.append(field.invalid(path, rest, HTTP_PATH_MESSAGE))


def _parameters(errors: Errors, path: Path, value: Object) -> None:
    if value.get("apiGroup") is not None:
        names.dns_subdomain(errors, path.child("apiGroup"), value["apiGroup"])
    for key in ("kind", "name"):
        if not value.get(key):
            errors.append(field.required(path.child(key)))
        else:
            names.path_segment(errors, path.child(key), value[key])
    scope, namespace = value.get("scope"), value.get("namespace")
    if scope is None:
        errors.append(field.required(path.child("scope")))
        return
    names.one_of(errors, path.child("scope"), scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if not namespace:
            errors.append(field.required(path.child("namespace"), "`parameters.scope` is set to 'Namespace'"))
        else:
            names.dns_label(errors, path.child("namespace"), namespace)
    if scope == "Cluster" and namespace is not None:
        errors.append(field.forbidden(path.child("namespace"), "`parameters.scope` is set to 'Cluster'"))
