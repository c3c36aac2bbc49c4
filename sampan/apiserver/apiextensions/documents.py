"""OpenAPI of custom resources: one document per group-version, made when somebody asks for it.

Behaviour: apiextensions-apiserver, package controller/openapi/builder.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.apiextensions.version import ServedVersion
    from sampan.apiserver.openapi import OpenAPI

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
    "endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized "
    "schemas to the latest internal value, and may reject unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
)
_NOT_IN_V2 = frozenset({"anyOf", "oneOf", "not", "nullable"})
_NAMES = ("properties", "patternProperties")


class VersionDocuments:
    """What a group-version adds to the documents; see `openapi.Part`, whose members these are."""

    def __init__(self, group: str, version: str, versions: list[ServedVersion], openapi: OpenAPI) -> None:
        self._group = group
        self._version = version
        self._versions = sorted(versions, key=lambda one: one.info.resource)
        self._openapi = openapi

    @cached_property
    def v3(self) -> Object:
        """The v3 document."""
        schemas: Object = {}
        paths: Object = {}
        for one in self._versions:
            prefix = "#/components/schemas/"
            schemas.update(_definitions(one, prefix, v2=False))
            paths.update(_paths(one, prefix, v2=False))
        schemas.update(self._meta_schemas(schemas | {"paths": paths}))
        return {
            "openapi": "3.0.0", "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}, "paths": paths,
            "components": {"schemas": schemas},
        }  # fmt: skip

    @cached_property
    def definitions(self) -> Object:
        """Definitions of the v2 document."""
        return {k: v for one in self._versions for k, v in _definitions(one, "#/definitions/", v2=True).items()}

    @cached_property
    def paths(self) -> Object:
        """Paths of the v2 document."""
        return {k: v for one in self._versions for k, v in _paths(one, "#/definitions/", v2=True).items()}

    def _meta_schemas(self, used: Any) -> Object:
        """The schemas of Kubernetes' own types that others refer to, and those that these refer to."""
        known = self._openapi.schemas("apis/autoscaling/v1")
        found: Object = {}
        waiting = [used]
        while waiting:
            for name in _references(waiting.pop()):
                if name in known and name not in found:
                    found[name] = known[name]
                    waiting.append(known[name])
        return found


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].rpartition("/")[2]] if isinstance(value.get("$ref"), str) else []
        return own + [name for item in value.values() for name in _references(item)]
    return [name for item in value for name in _references(item)] if isinstance(value, list) else []


def definition_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's definition: ``com.example.v1.Widget``."""
    return f"{'.'.join(reversed(group.split('.')))}.{version}.{kind}"


def _gvk(one: ServedVersion) -> Object:
    return {"group": one.group, "kind": one.kind.kind, "version": one.name}


def _definitions(one: ServedVersion, prefix: str, *, v2: bool) -> Object:
    name = definition_name(one.group, one.name, one.kind.kind)
    list_kind = one.names.get("listKind") or f"{one.kind.kind}List"
    raw = one.schema.raw
    found: Object = _published(raw, v2=v2, prefix=prefix) if raw else {"type": "object"}
    found["type"] = "object"
    preserved = v2 and bool(raw.get("x-kubernetes-preserve-unknown-fields"))
    meta = _meta(prefix, f"{_META}.ObjectMeta", v2=v2)
    if not preserved:
        found["properties"] = {
            **found.get("properties", {}), "apiVersion": {"description": _API_VERSION, "type": "string"},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {
                "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/"
                "sig-architecture/api-conventions.md#metadata", **meta,
            },
        }  # fmt: skip
    found["x-kubernetes-group-version-kind"] = [_gvk(one)]
    listed = {
        "description": f"{list_kind} is a list of {one.kind.kind}", "type": "object", "required": ["items"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "items": {
                "description": f"List of {one.names['plural']}. More info: https://git.k8s.io/community/contributors/"
                "devel/sig-architecture/api-conventions.md", "type": "array", "items": {"$ref": prefix + name},
            },
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {
                "description": "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/"
                "sig-architecture/api-conventions.md#types-kinds", **_meta(prefix, f"{_META}.ListMeta", v2=v2),
            },
        },
        "x-kubernetes-group-version-kind": [{**_gvk(one), "kind": list_kind}],
    }  # fmt: skip
    return {name: found, definition_name(one.group, one.name, list_kind): listed}


def _meta(prefix: str, name: str, *, v2: bool) -> Object:
    return {"$ref": prefix + name} if v2 else {"allOf": [{"$ref": prefix + name}]}


def _published(raw: Any, *, v2: bool, prefix: str) -> Any:  # noqa: C901 - one case per keyword
    """A schema as documents show it; v2 cannot say everything."""
    if not isinstance(raw, dict):
        return raw
    out: Object = {}
    if v2 and raw.get("x-kubernetes-int-or-string"):
        out["x-kubernetes-int-or-string"] = True
        return out | {key: raw[key] for key in ("description",) if key in raw}
    loose = v2 and bool(raw.get("x-kubernetes-preserve-unknown-fields"))
    for key, value in raw.items():
        if v2 and key in _NOT_IN_V2:
            continue
        if key in _NAMES:
            if not loose:
                out[key] = {name: _published(child, v2=v2, prefix=prefix) for name, child in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            if not (loose and key == "items"):
                out[key] = _published(value, v2=v2, prefix=prefix)
        elif key in ("allOf", "anyOf", "oneOf"):
            out[key] = [_published(child, v2=v2, prefix=prefix) for child in value]
        elif (v2 and key == "type" and (loose or raw.get("nullable"))) or (v2 and key == "default"):
            continue
        else:
            out[key] = value
    if raw.get("x-kubernetes-embedded-resource") and not loose:
        meta = {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "kind": {"type": "string", "description": _KIND},
        }
        out["properties"] = {
            **out.get("properties", {}),
            **meta,
            "metadata": _meta(prefix, f"{_META}.ObjectMeta", v2=v2),
        }
    return out


# -- paths


def _paths(one: ServedVersion, prefix: str, *, v2: bool) -> Object:
    root = f"/apis/{one.group}/{one.name}"
    plural = one.info.resource
    scoped = f"{root}/namespaces/{{namespace}}/{plural}" if one.namespaced else f"{root}/{plural}"
    build = _Operations(one, prefix, v2=v2)
    found: Object = {scoped: build.collection(), f"{scoped}/{{name}}": build.item("")}
    if one.namespaced:
        found[f"{root}/{plural}"] = build.everywhere()
    for name in one.info.subresources:
        found[f"{scoped}/{{name}}/{name}"] = build.item(name)
    return found


class _Operations:
    """Builds the operations of one resource."""

    def __init__(self, one: ServedVersion, prefix: str, *, v2: bool) -> None:
        self._one = one
        self._v2 = v2
        self._ref = {"$ref": prefix + definition_name(one.group, one.name, one.kind.kind)}
        kind = one.names.get("listKind") or f"{one.kind.kind}List"
        self._list = {"$ref": prefix + definition_name(one.group, one.name, kind)}
        self._scale = {"$ref": prefix + "io.k8s.api.autoscaling.v1.Scale"}
        self._status = {"$ref": f"{prefix}{_META}.Status"}
        self._patch = {"$ref": f"{prefix}{_META}.Patch"}
        parts = [part[:1].upper() + part[1:] for part in one.group.replace("-", ".").split(".")]
        self._id = "".join(parts) + one.name[:1].upper() + one.name[1:]
        self._tag = one.group.replace(".", "_").replace("-", "_") + "_" + one.name
        self._tag = "".join(parts)[:1].lower() + "".join(parts)[1:] + "_" + one.name

    def _text(self, name: str, place: str, description: str, *, required: bool = False, kind: str = "string") -> Object:
        schema: Object = {"type": kind, "uniqueItems": True}
        found: Object = {"name": name, "in": place, "description": description}
        found.update(schema if self._v2 else {"schema": schema})
        if required:
            found["required"] = True
        return found

    def _common(self, *, name: bool, namespace: bool = True) -> list[Object]:
        found = [self._text("pretty", "query", "With true, the answer is indented.")]
        if self._one.namespaced and namespace:
            found.insert(0, self._text("namespace", "path", "Namespace of the object.", required=True))
        if name:
            found.insert(0, self._text("name", "path", "Name of the object.", required=True))
        return found

    def _write(self, *, force: bool = False) -> list[Object]:
        found = [
            self._text("dryRun", "query", "With All, every stage of the request is processed, and nothing is stored."),
            self._text("fieldManager", "query", "Name of the actor on whose behalf fields are changed."),
            self._text("fieldValidation", "query", "What to do about unknown and duplicate fields."),
        ]
        if force:
            found.append(self._text("force", "query", "Take over fields that conflict.", kind="boolean"))
        return found

    def _operation(
        self, action: str, verb: str, answer: Object, *, body: Object | None = None,
        parameters: list[Object] | None = None,
        what: str = "", codes: tuple[int, ...] = (200,),
    ) -> Object:  # fmt: skip
        one = self._one
        scope = "Namespaced" if one.namespaced and what != "ForAllNamespaces" else ""
        suffix = what if what == "ForAllNamespaces" else what[:1].upper() + what[1:]
        prefix = {
            "list": "list",
            "post": "create",
            "deletecollection": "deleteCollection",
            "get": "read",
            "put": "replace",
        }
        operation: Object = {
            "description": f"{verb} {one.kind.kind}",
            "operationId": f"{prefix.get(action, action)}{self._id}{scope}{one.kind.kind}{suffix}",
            "tags": [self._tag], "x-kubernetes-action": action, "x-kubernetes-group-version-kind": _gvk(one),
            "responses": {
                **{str(code): self._answer(code, answer) for code in codes}, "401": {"description": "Unauthorized"},
            },
        }  # fmt: skip
        wanted = list(parameters or ())
        patch = action == "patch"
        types = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
        if self._v2:
            operation["consumes"] = types if patch else ["application/json", "application/yaml"]
            operation["produces"] = ["application/json", "application/yaml"]
            operation["schemes"] = ["https"]
            if body is not None:
                wanted.insert(0, {"name": "body", "in": "body", "required": True, "schema": body})
        elif body is not None:
            content = types if patch else ["application/json", "application/yaml"]
            operation["requestBody"] = {"content": {one: {"schema": body} for one in content}, "required": True}
        if wanted:
            operation["parameters"] = wanted
        return operation

    def _answer(self, code: int, schema: Object) -> Object:
        text = {200: "OK", 201: "Created", 202: "Accepted"}[code]
        if self._v2:
            return {"description": text, "schema": schema}
        content = {media: {"schema": schema} for media in ("application/json", "application/yaml")}
        return {"description": text, "content": content}

    def _selecting(self) -> list[Object]:
        names = (
            "allowWatchBookmarks",
            "continue",
            "fieldSelector",
            "labelSelector",
            "resourceVersion",
            "resourceVersionMatch",
        )
        found = [self._text(name, "query", f"See the API concepts: {name}.") for name in names]
        found[0] = self._text("allowWatchBookmarks", "query", "Send bookmarks.", kind="boolean")
        found += [
            self._text(name, "query", f"See the API concepts: {name}.", kind="integer")
            for name in ("limit", "timeoutSeconds")
        ]
        found.append(self._text("watch", "query", "Watch for changes.", kind="boolean"))
        return found

    def collection(self) -> Object:
        """The operations of a collection."""
        return {
            "parameters": self._common(name=False),
            "get": self._operation("list", "list objects of kind", self._list, parameters=self._selecting()),
            "post": self._operation(
                "post", "create a", self._ref, body=self._ref, parameters=self._write(), codes=(200, 201, 202)
            ),
            "delete": self._operation(
                "deletecollection", "delete collection of", self._status, parameters=self._selecting()
            ),
        }

    def everywhere(self) -> Object:
        """The operations across namespaces."""
        operation = self._operation("list", "list objects of kind", self._list, what="ForAllNamespaces")
        parameters = [*self._common(name=False, namespace=False), *self._selecting()]
        return {"parameters": parameters, "get": operation}

    def item(self, subresource: str) -> Object:
        """The operations of one object, or of a subresource of it."""
        ref = self._scale if subresource == "scale" else self._ref
        what = f"{subresource} of the specified" if subresource else "the specified"
        found: Object = {
            "parameters": self._common(name=True),
            "get": self._operation("get", f"read {what}", ref, what=subresource),
            "put": self._operation(
                "put", f"replace {what}", ref, body=ref, parameters=self._write(), what=subresource, codes=(200, 201)
            ),
            "patch": self._operation(
                "patch", f"partially update {what}", ref, body=self._patch, parameters=self._write(force=True),
                what=subresource,
            ),
        }  # fmt: skip
        if not subresource:
            found["delete"] = self._operation("delete", "delete a", self._status, codes=(200, 202))
        return found
