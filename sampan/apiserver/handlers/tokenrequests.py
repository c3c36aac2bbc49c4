"""The token subresource of service accounts: TokenRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors, field
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupResource, GroupVersionKind
from sampan.apiserver.admission.interface import CREATE
from sampan.apiserver.handlers import body as bodies
from sampan.apiserver.handlers.writes import write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Outcome

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.authn.serviceaccounts import ServiceAccountTokens
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.registry.strategy import Getter

_KIND = GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")
_DEFAULT_SECONDS = 3600
_SHORTEST = 600
_BOUND = {"Pod": ("", "v1", "pods"), "Secret": ("", "v1", "secrets"), "Node": ("", "v1", "nodes")}


class TokenRequests:
    """Issues tokens."""

    def __init__(self, tokens: ServiceAccountTokens, lookup: Getter) -> None:
        self._tokens = tokens
        self._lookup = lookup

    async def create(self, call: Call) -> Outcome:
        """POST serviceaccounts/<name>/token."""
        registry, info = call.registry, call.info
        options = write_options(call.query, "CreateOptions")
        request = bodies.decode(call, _KIND, options.field_validation)
        spec = request.setdefault("spec", {})
        if spec.get("expirationSeconds") is None:
            spec["expirationSeconds"] = _DEFAULT_SECONDS
        write = write_of(call, options, "CreateOptions")
        ownership.virtual(_KIND, request, manager=write.manager, subresource="token", clock=registry.clock)
        admission = registry.admission_request(CREATE, write, request, None, _KIND)
        await registry.admission.mutate(admission)
        account = registry.view(registry.find(call.namespace, info.name))
        self._check_metadata(request, account, call.namespace)
        if not spec.get("audiences"):
            spec["audiences"] = list(self._tokens.audiences)
        _check(spec)
        bound, kind, node = self._bound(spec, call.namespace, account)
        await registry.admission.validate(admission)
        seconds = spec["expirationSeconds"]
        token, expires = self._tokens.issue(account, spec["audiences"], seconds, bound, kind, node)
        metadata = request["metadata"]
        metadata.update(
            name=info.name, namespace=call.namespace, uid=account["metadata"].get("uid", ""),
            creationTimestamp=meta.now_text(registry.clock.time()),
        )  # fmt: skip
        spec.setdefault("boundObjectRef", None)
        request["status"] = {"token": token, "expirationTimestamp": meta.now_text(expires)}
        return Outcome(201, object=request, as_is=True)

    @staticmethod
    def _check_metadata(request: Object, account: Object, namespace: str) -> None:
        metadata = request["metadata"]
        if metadata.get("name", "") not in ("", account["metadata"]["name"]):
            raise errors.invalid(
                _KIND.group, _KIND.kind, "",
                [field.invalid("metadata.name", metadata["name"], "must match the service account name")],
            )  # fmt: skip
        if metadata.get("namespace", "") not in ("", namespace):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")

    def _bound(self, spec: Object, namespace: str, account: Object) -> tuple[Object | None, str, Object | None]:
        """The object that ends the token, its kind, and the node that a pod runs on."""
        reference = spec.get("boundObjectRef")
        if reference is None:
            return None, "", None
        gvk = GroupVersionKind.parse(reference.get("apiVersion", ""), reference.get("kind", ""))
        place = _BOUND.get(gvk.kind) if gvk.group == "" and gvk.version == "v1" else None
        if place is None:
            raise BadRequest(f"cannot bind token to object of type {gvk.group}/{gvk.version}, Kind={gvk.kind}")
        resource = place[2]
        where = "" if resource == "nodes" else namespace
        name = reference.get("name", "")
        found = self._lookup("", resource, where, name)
        if found is None:
            raise errors.not_found(GroupResource("", resource), name)
        uid = reference.get("uid", "")
        if uid and uid != found["metadata"].get("uid"):
            why = (
                f"the UID in the bound object reference ({uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise errors.conflict(GroupResource("", gvk.kind), name, why)
        node = None
        if gvk.kind == "Pod":
            self._check_pod(found, account)
            node_name = found["spec"].get("nodeName")
            if node_name:
                node = self._lookup("", "nodes", "", node_name) or {"metadata": {"name": node_name}}
        return found, gvk.kind, node

    @staticmethod
    def _check_pod(pod: Object, account: Object) -> None:
        name = account["metadata"]["name"]
        if pod["spec"].get("serviceAccountName") != name:
            raise BadRequest(
                f'cannot bind token for serviceaccount "{name}" to pod running with different serviceaccount name.'
            )


def _check(spec: Object) -> None:
    seconds = spec["expirationSeconds"]
    if seconds < _SHORTEST:
        wrong = field.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds > 1 << 32:
        wrong = field.invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    else:
        return
    raise errors.invalid(_KIND.group, _KIND.kind, "", [wrong])
