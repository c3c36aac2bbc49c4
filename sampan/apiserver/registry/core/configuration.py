"""ConfigMaps and Secrets: data up to 1 MiB, optionally frozen."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.api.names import is_config_map_key
from sampan.api.schema.gojson import MalformedError, loads
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names
from sampan.apiserver.registry.validation.encoding import decoded, decoded_size

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_LIMIT = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"


def _frozen(errors: Errors, new: Object, old: Object, *keys: str) -> None:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errors.append(field.forbidden(Path("immutable"), _FROZEN))
    for key in keys:
        if (new.get(key) or {}) != (old.get(key) or {}):
            errors.append(field.forbidden(Path(key), _FROZEN))


def _keys(errors: Errors, path: Path, data: Object) -> None:
    for key in data:
        if messages := is_config_map_key(key):
            names.report(errors, path.key(key), key, messages)


class ConfigMapStrategy(Strategy):
    """ConfigMaps."""

    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        _keys(errors, Path("data"), data)
        for key in data:
            if key in binary:
                errors.append(field.invalid(Path("data").key(key), key, "duplicate of key present in binaryData"))
        _keys(errors, Path("binaryData"), binary)
        size = sum(len(value.encode()) for value in data.values()) + sum(map(decoded_size, binary.values()))
        if size > _LIMIT:
            errors.append(field.too_long(Path(""), "", _LIMIT))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _frozen(errors, new, old, "data", "binaryData")
        return errors + self.validate(ctx, new)


class SecretStrategy(Strategy):
    """Secrets; stringData is written into data and never stored."""

    has_status = False
    selectable = ("type",)

    def default(self, obj: Object) -> None:
        if not obj.get("type"):
            obj["type"] = "Opaque"
        strings = obj.pop("stringData", None)
        if strings:
            data = obj.get("data") or {}
            obj["data"] = data | {key: _encoded(value) for key, value in strings.items()}

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        # Old clients drop the type; it cannot change anyway.
        if not new.get("type"):
            new["type"] = old.get("type", "")

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        path, data = Path("data"), obj.get("data") or {}
        _keys(errors, path, data)
        if sum(map(decoded_size, data.values())) > _LIMIT:
            errors.append(field.too_long(path, "", _LIMIT))
        self._by_type(errors, path, obj, data)
        return errors

    @staticmethod
    def _by_type(errors: Errors, path: Path, obj: Object, data: Object) -> None:
        kind = obj.get("type", "")
        if kind == "kubernetes.io/service-account-token":
            key = "kubernetes.io/service-account.name"
            if not (obj["metadata"].get("annotations") or {}).get(key):
                errors.append(field.required(Path("metadata").child("annotations").key(key)))
        elif kind in _DOCKER:
            _json(errors, path.key(_DOCKER[kind]), data.get(_DOCKER[kind]))
        elif kind == "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                errors.append(field.required(path.key("username")))
                errors.append(field.required(path.key("password")))
        elif kind == "kubernetes.io/ssh-auth":
            names.required(errors, path.key("ssh-privatekey"), data.get("ssh-privatekey"))
        elif kind == "kubernetes.io/tls":
            for key in ("tls.crt", "tls.key"):
                if key not in data:
                    errors.append(field.required(path.key(key)))

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if new.get("type") != old.get("type"):
            errors.append(field.invalid(Path("type"), new.get("type", ""), "field is immutable"))
        _frozen(errors, new, old, "data")
        return errors + self.validate(ctx, new)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"type": obj.get("type", "")}


_DOCKER = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _json(errors: Errors, path: Path, value: str | None) -> None:
    if value is None:
        errors.append(field.required(path))
        return
    try:
        parsed = loads(decoded(value))
    except MalformedError as error:
        errors.append(field.invalid(path, _REDACTED, str(error)))
        return
    if parsed is not None and not isinstance(parsed, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(parsed), "number")
        detail = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        errors.append(field.invalid(path, _REDACTED, detail))
