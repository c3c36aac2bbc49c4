"""Certificates for nodes and users: approving, signing and cleaning up CertificateSigningRequests.

Behaviour: kube-controller-manager's certificatesigningrequest-approving, -signing, -cleaner controllers. The approver
grants kubelets their client certificates when a SubjectAccessReview allows it (bootstrap tokens get their first one,
nodes renew their own). Kubernetes leaves kubelets' serving certificates to the cluster's maker: here a node is granted
one for exactly the names and addresses that its Node object has.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of
from sampan.base.errors import SampanError
from sampan.base.log import logger
from sampan.client.item import copy_object
from sampan.client.resources import CERTIFICATESIGNINGREQUESTS, NODES, SUBJECTACCESSREVIEWS
from sampan.controllers.certificaterequest import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    NODE_GROUP,
    RequestError,
    check,
    has_condition,
    parse,
)
from sampan.runtime import DONE, Controller, Request, Result, enqueue

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.pki import CertificateAuthority
    from sampan.controllers.certificaterequest import CertificateRequest
    from sampan.controllers.context import ControllerContext

log = logger("controllers.csr")

_SIGNERS = frozenset({CLIENT, KUBELET_CLIENT, KUBELET_SERVING})
_SHORTEST = 600.0
_CLEAN_PERIOD = 3600.0
_KEEP_DECIDED = 3600.0
_KEEP_PENDING = 24 * 3600.0


def new_approver(context: ControllerContext) -> Controller:
    """The approving controller."""
    return _Approver(context).controller


def new_signer(context: ControllerContext) -> Controller:
    """The signing controller."""
    return _Signer(context).controller


def new_cleaner(context: ControllerContext) -> Controller:
    """The cleaner."""
    cleaner = _Cleaner(context)
    name = "certificatesigningrequest-cleaner-controller"
    return Controller(name, None, clock=context.clock, services=(cleaner.run,))


class NotPermittedError(SampanError):
    """The requester may not have this certificate (now); retried, for roles and nodes may come later."""


class _Approver:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informer(CERTIFICATESIGNINGREQUESTS)
        self._nodes = context.informer(NODES)
        name = "certificatesigningrequest-approving-controller"
        self.controller = Controller(name, self, clock=context.clock, workers=2)
        self._requests.add_handler(enqueue(self.controller.queue))

    async def reconcile(self, request: Request) -> Result:
        """Approve one request if it is of a kind that is granted without asking."""
        stored = self._requests.get("", request.name)
        if stored is None or has_condition(stored.object, "Approved", "Denied"):
            return DONE
        csr = stored.object
        if (csr.get("status") or {}).get("certificate"):
            return DONE
        try:
            asked = parse(csr)
            check(csr["spec"]["signerName"], asked, csr["spec"].get("usages") or ())
        except RequestError:
            return DONE
        signer = csr["spec"]["signerName"]
        if signer == KUBELET_CLIENT:
            await self._approve(csr, await self._client_reason(csr, asked))
        elif signer == KUBELET_SERVING:
            self._check_serving(csr, asked)
            await self._approve(csr, "Auto approving kubelet serving certificate for the node's own addresses.")
        return DONE

    async def _client_reason(self, csr: Object, asked: CertificateRequest) -> str:
        """The message of the approval. Raises NotPermittedError."""
        if asked.common_name == csr["spec"].get("username") and await self._is_allowed(csr, "selfnodeclient"):
            return "Auto approving self kubelet client certificate after SubjectAccessReview."
        if await self._is_allowed(csr, "nodeclient"):
            return "Auto approving kubelet client certificate after SubjectAccessReview."
        raise NotPermittedError(
            f"recognized csr {name_of(csr)!r} as [selfnodeclient nodeclient] but subject access review was not approved"
        )

    async def _is_allowed(self, csr: Object, subresource: str) -> bool:
        spec = csr["spec"]
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.get("username", ""),
                "uid": spec.get("uid", ""),
                "groups": spec.get("groups") or [],
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": "certificates.k8s.io",
                    "resource": "certificatesigningrequests",
                    "verb": "create",
                    "subresource": subresource,
                    "version": "*",
                },
            },
        }
        answer = await self._client.resource(SUBJECTACCESSREVIEWS).create(review)
        return bool((answer.get("status") or {}).get("allowed"))

    def _check_serving(self, csr: Object, asked: CertificateRequest) -> None:
        """A node asks for itself, and for no name or address that its Node object has not. Raises NotPermittedError."""
        spec = csr["spec"]
        if spec.get("username") != asked.common_name or NODE_GROUP not in (spec.get("groups") or ()):
            raise NotPermittedError("a kubelet serving certificate is granted only to the node itself")
        node_name = asked.common_name.removeprefix("system:node:")
        node = self._nodes.get("", node_name)
        if node is None:
            raise NotPermittedError(f"node {node_name} is not registered yet")
        addresses = (node.object.get("status") or {}).get("addresses") or ()
        known = {one["address"] for one in addresses} | {node_name}
        unknown = [one for one in (*asked.dns_names, *asked.ip_addresses) if one not in known]
        if unknown:
            raise NotPermittedError(f"node {node_name} does not have the addresses {', '.join(unknown)}")

    async def _approve(self, csr: Object, message: str) -> None:
        now = times.format_time(self._clock.time())
        changed = copy_object(csr)
        conditions = changed.setdefault("status", {}).setdefault("conditions", [])
        conditions.append(
            {
                "type": "Approved",
                "status": "True",
                "reason": "AutoApproved",
                "message": message,
                "lastUpdateTime": now,
                "lastTransitionTime": now,
            }
        )
        await self._client.resource(CERTIFICATESIGNINGREQUESTS).update(changed, subresource="approval")
        log.info("Certificate request approved", csr=name_of(csr), user=csr["spec"].get("username"))


class _Signer:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._authority: CertificateAuthority | None = context.options.signer
        self._longest = context.options.cluster_signing_duration
        self._requests = context.informer(CERTIFICATESIGNINGREQUESTS)
        name = "certificatesigningrequest-signing-controller"
        self.controller = Controller(name, self, clock=context.clock, workers=2)
        self._requests.add_handler(enqueue(self.controller.queue))

    async def reconcile(self, request: Request) -> Result:
        """Sign one approved request."""
        stored = self._requests.get("", request.name)
        if stored is None or self._authority is None:
            return DONE
        csr = stored.object
        signed = (csr.get("status") or {}).get("certificate")
        if signed or csr["spec"]["signerName"] not in _SIGNERS or not has_condition(csr, "Approved"):
            return DONE
        if has_condition(csr, "Denied", "Failed"):
            return DONE
        changed = copy_object(csr)
        status = changed.setdefault("status", {})
        try:
            status["certificate"] = base64.b64encode(self._sign(self._authority, csr)).decode()
        except RequestError as error:
            status.setdefault("conditions", []).append(self._failure("SignerValidationFailure", str(error)))
        except ValueError as error:
            status.setdefault("conditions", []).append(self._failure("SigningError", str(error)))
        await self._client.resource(CERTIFICATESIGNINGREQUESTS).update_status(changed)
        return DONE

    def _sign(self, authority: CertificateAuthority, csr: Object) -> bytes:
        spec = csr["spec"]
        usages = spec.get("usages") or ()
        asked = parse(csr)
        check(spec["signerName"], asked, usages)
        seconds = spec.get("expirationSeconds")
        duration = self._longest if seconds is None else min(max(float(seconds), _SHORTEST), self._longest)
        return authority.sign_csr(asked.pem, usages=usages, duration=timedelta(seconds=duration))

    def _failure(self, reason: str, message: str) -> Object:
        now = times.format_time(self._clock.time())
        return {
            "type": "Failed",
            "status": "True",
            "reason": reason,
            "message": message,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }


class _Cleaner:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informer(CERTIFICATESIGNINGREQUESTS)

    async def run(self) -> None:
        """Delete old requests every hour."""
        while True:
            for item in self._requests.list():
                csr = item.object
                if self._is_old(csr):
                    await self._delete(item.name, csr["metadata"]["uid"])
            await self._clock.sleep(_CLEAN_PERIOD)

    async def _delete(self, name: str, uid: str) -> None:
        try:
            await self._client.resource(CERTIFICATESIGNINGREQUESTS).delete(name, uid=uid)
        except NotFound:
            return
        except (APIStatusError, OSError) as error:
            log.debug("Certificate request not deleted", csr=name, error=error)

    def _is_old(self, csr: Object) -> bool:
        """Decided for an hour, or undecided for a day."""
        now = self._clock.time()
        conditions = (csr.get("status") or {}).get("conditions") or ()
        if not conditions:
            return now - times.parse(csr["metadata"]["creationTimestamp"]) > _KEEP_PENDING
        decided = [times.parse(one["lastUpdateTime"]) for one in conditions if one.get("lastUpdateTime")]
        return bool(decided) and now - max(decided) > _KEEP_DECIDED
