"""create, update, delete and deletecollection of objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sampan.api import errors
from sampan.api.errors import BadRequest
from sampan.apiserver.admission.interface import CREATE, UPDATE
from sampan.apiserver.authz.interface import forbidden_message
from sampan.apiserver.handlers import body as bodies
from sampan.apiserver.handlers import read
from sampan.apiserver.options import parse_int, write_options
from sampan.apiserver.registry import deletion, ownership
from sampan.apiserver.registry.deletion import DeleteOptions
from sampan.apiserver.registry.write import Outcome, Write

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.options import WriteOptions
    from sampan.apiserver.storage.entry import Entry


def write_of(call: Call, options: WriteOptions, kind: str) -> Write:
    """The write that a request asks for."""
    info = call.info
    return Write(
        user=call.user, namespace=call.namespace, name=info.name, subresource=info.subresource, dry_run=options.dry_run,
        manager=call.manager(options.field_manager), options=call.write_options(kind), warnings=call.warnings,
    )  # fmt: skip


async def create(call: Call) -> Outcome:
    """POST to a collection."""
    options = write_options(call.query, "CreateOptions")
    obj = bodies.decode_main(call, options.field_validation)
    write = write_of(call, options, "CreateOptions")
    write.name = obj.get("metadata", {}).get("name", "")
    return await call.registry.create(write, obj)


class Writes:
    """The handlers that ask the authorizer again: a PUT that creates needs the right to create."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def check_may_create(self, call: Call) -> None:
        """Raise Forbidden unless the user may create what the request updates."""
        attributes = call.plan.attributes
        assert attributes is not None
        attributes = replace(attributes, verb="create", user=call.user)
        decision = self._authorizer.authorize(attributes)
        if not decision.allowed:
            why = forbidden_message(attributes) + (f": {decision.reason}" if decision.reason else "")
            raise errors.forbidden(call.registry.group_resource, call.info.name, why)

    async def update(self, call: Call) -> Outcome:
        """PUT of an object or of its status, ephemeralcontainers, resize, approval, finalize."""
        options = write_options(call.query, "UpdateOptions")
        registry, info = call.registry, call.info
        first: Object | None = bodies.decode_main(call, options.field_validation)
        assert first is not None
        check_name(first, info.name, call.namespace)
        write = write_of(call, options, "UpdateOptions")
        registry.check_namespace(write, first)
        uid = first["metadata"].get("uid", "")

        async def transform(old: Object | None, current: Entry | None) -> Object:
            nonlocal first
            del current
            obj, first = first, None
            if obj is None:  # another attempt: the object of the first one has been worked on
                obj = bodies.decode_main(call, "Ignore")
                registry.check_namespace(write, obj)
            if old is None:
                self.check_may_create(call)
                ownership.created(registry, write, obj)
            else:
                ownership.updated(registry, write, obj, old)
            request = registry.admission_request(CREATE if old is None else UPDATE, write, obj, old)
            await registry.admission.mutate(request)
            return obj

        return await registry.update(write, transform, uid=uid, create=not info.subresource)


def check_name(obj: Object, name: str, namespace: str) -> None:
    """Insist that body and URL name the same object."""
    metadata = obj.setdefault("metadata", {})
    found = metadata.get("name", "")
    if not found:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if found != name:
        raise BadRequest(f"the name of the object ({found}) does not match the name on the URL ({name})")
    given = metadata.get("namespace", "")
    if namespace and given and given != namespace:
        raise BadRequest(
            f"the namespace of the object ({given}) does not match the namespace on the request ({namespace})"
        )


# -- delete


def delete_options(call: Call) -> DeleteOptions:
    """Delete options from the body, or from the query when there is no body."""
    body = call.body
    if isinstance(body, bytes):
        raw = _decode_options(call, body) if body else _options_of_query(call)
    else:
        raw = body or _options_of_query(call)
    return DeleteOptions.of(raw)


def _decode_options(call: Call, body: bytes) -> Object:
    from sampan.api import schema  # noqa: PLC0415
    from sampan.api.gvk import GroupVersionKind  # noqa: PLC0415

    media = bodies.media_type(call)
    if media == "application/vnd.kubernetes.protobuf":
        from sampan.api.schema import protobuf  # noqa: PLC0415

        return protobuf.decode_body(body, GroupVersionKind("", "v1", "DeleteOptions")).object
    try:
        parsed = schema.parse(body, yaml=media == "application/yaml")
    except schema.MalformedError as error:
        raise BadRequest(f"couldn't get version/kind; json parse error: {error}") from None
    value = parsed.value
    kind = value.get("kind", "DeleteOptions") if isinstance(value, dict) else ""
    if kind != "DeleteOptions":
        raise BadRequest(
            f'no kind "{kind}" is registered for version "{value.get("apiVersion", "")}" in scheme '
            '"pkg/apis/meta/internalversion/scheme/register.go:27"'
        )
    try:
        return schema.decode(GroupVersionKind("", "v1", "DeleteOptions"), value).object
    except schema.DecodeError as error:
        raise BadRequest(str(error)) from None


def _options_of_query(call: Call) -> Object:
    raw: Object = {}
    preconditions: Object = {}
    for key, value in call.query:
        if key == "gracePeriodSeconds":
            raw[key] = parse_int(value)
        elif key == "propagationPolicy":
            raw[key] = value
        elif key == "orphanDependents":
            raw[key] = value.lower() not in ("false", "0")
        elif key == "dryRun":
            raw.setdefault("dryRun", []).append(value)
        elif key == "preconditions.uid":
            preconditions["uid"] = value
    if preconditions:
        raw["preconditions"] = preconditions
    return raw


async def delete(call: Call) -> Outcome:
    """DELETE of one object."""
    options = delete_options(call)
    return await deletion.delete(call.registry, _delete_write(call, options, call.info.name), options)


def _delete_write(call: Call, options: DeleteOptions, name: str) -> Write:
    return Write(
        user=call.user, namespace=call.namespace, name=name, dry_run=bool(options.raw.get("dryRun")),
        options={**options.raw, "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}, warnings=call.warnings,
    )  # fmt: skip


async def delete_collection(call: Call) -> Any:
    """DELETE of a collection: every object that is listed, each by itself; answers with the list."""
    options = delete_options(call)
    list_options = call.plan.list_options
    assert list_options is not None
    result = read.list_(call)
    listed = result if isinstance(result, read.ListResult) else await result
    for entry in listed.listing.entries:
        write = _delete_write(call, options, entry.name)
        write.namespace = entry.namespace
        try:
            await deletion.delete(call.registry, write, options)
        except errors.NotFound:
            continue
    return listed


def success(status: int = 201) -> Outcome:
    """A Status that says no more than that it worked."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": status}
    return Outcome(status, object=body, as_is=True)
