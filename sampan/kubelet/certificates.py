"""The node's certificates: obtained by CertificateSigningRequest, renewed before they end.

The client certificate (signer ``kubernetes.io/kube-apiserver-client-kubelet``) is first asked for with a bootstrap
token, later with itself; the serving certificate (``kubernetes.io/kubelet-serving``) with the client certificate.
Files: ``kubelet-client.crt``, ``kubelet-client.key``, ``kubelet-server.crt``, ``kubelet-server.key`` below the pki
directory.
Source: Kubernetes documentation "TLS bootstrapping", "Certificates and Certificate Signing Requests".
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.base import pki
from sampan.base.errors import SampanError
from sampan.base.log import logger
from sampan.client.resources import CERTIFICATESIGNINGREQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client

_log = logger("kubelet.certificates")

CLIENT = "kubelet-client"
SERVER = "kubelet-server"
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
_SERVER_SIGNER = "kubernetes.io/kubelet-serving"
_RENEW_SHARE = 0.8
_RETRY_SECONDS = 5.0
_POLL_SECONDS = 0.1
_LIMIT_SECONDS = 900.0


class CertificateDeniedError(SampanError):
    """A request was denied or failed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate to ask for. name: of its files."""

    name: str
    signer: str
    usages: Sequence[str]
    node_name: str
    names: Sequence[str] = ()


def client_certificate(node_name: str) -> Wanted:
    """The identity of a node: ``system:node:<name>`` in ``system:nodes``."""
    return Wanted(name=CLIENT, signer=_CLIENT_SIGNER, usages=("digital signature", "client auth"), node_name=node_name)


def server_certificate(node_name: str, addresses: Sequence[str]) -> Wanted:
    """What the kubelet's own server shows."""
    return Wanted(
        name=SERVER,
        signer=_SERVER_SIGNER,
        usages=("digital signature", "server auth"),
        node_name=node_name,
        names=[node_name, *addresses],
    )


def files(directory: Path, wanted: Wanted) -> tuple[Path, Path]:
    """Tell where a certificate and its key lie."""
    return directory / f"{wanted.name}.crt", directory / f"{wanted.name}.key"


async def obtain(client: Client, wanted: Wanted, directory: Path, clock: Clock) -> None:
    """Ask for a certificate and wait until it is issued and written.

    Raises CertificateDeniedError, APIStatusError, OSError; TimeoutError when nobody approves it in time.
    """
    pair = pki.create_csr(f"system:node:{wanted.node_name}", ["system:nodes"], wanted.names)
    requests = client.resource(CERTIFICATESIGNINGREQUESTS)
    created = await requests.create(
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "csr-"},
            "spec": {
                "request": base64.b64encode(pair.certificate).decode(),
                "signerName": wanted.signer,
                "usages": list(wanted.usages),
            },
        }
    )
    certificate = await _wait_issued(client, created["metadata"]["name"], clock)
    directory.mkdir(parents=True, exist_ok=True)
    path, key_path = files(directory, wanted)
    # The key first: a certificate without its key is useless, a key without a certificate is asked for again.
    pki.write_private(key_path, pair.key)
    pki.write_private(path, certificate, mode=0o644)


async def _wait_issued(client: Client, name: str, clock: Clock) -> bytes:
    requests = client.resource(CERTIFICATESIGNINGREQUESTS)
    end = clock.monotonic() + _LIMIT_SECONDS
    pause = _POLL_SECONDS
    while clock.monotonic() < end:
        try:
            request = await requests.get(name)
        except NotFound as error:
            raise CertificateDeniedError(f"certificate signing request {name} was deleted") from error
        status = request.get("status") or {}
        if status.get("certificate"):
            return base64.b64decode(status["certificate"])
        _check(request, name)
        await clock.sleep(pause)
        pause = min(pause * 1.5, 2.0)
    raise TimeoutError(f"certificate signing request {name} was not approved within {_LIMIT_SECONDS:.0f} s")


def _check(request: Object, name: str) -> None:
    for condition in (request.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Denied", "Failed"):
            why = condition.get("message") or condition.get("reason") or ""
            raise CertificateDeniedError(f"certificate signing request {name} is {condition['type'].lower()}: {why}")


async def keep(
    client: Client, wanted: Wanted, directory: Path, clock: Clock, renewed: Callable[[], None] | None = None
) -> None:
    """Renew a certificate until cancelled, after 80 % of its life; obtain it first if it is absent."""
    while True:
        await clock.sleep(_seconds_left(files(directory, wanted)[0], clock))
        try:
            await obtain(client, wanted, directory, clock)
        except (SampanError, APIStatusError, OSError, TimeoutError) as error:
            _log.warning("Certificate cannot be obtained yet", certificate=wanted.name, error=error)
            await clock.sleep(_RETRY_SECONDS)
            continue
        if renewed is not None:
            renewed()
        await asyncio.sleep(0)


def _seconds_left(path: Path, clock: Clock) -> float:
    """Tell when to renew; 0 when there is nothing usable."""
    try:
        certificate = path.read_bytes()
        begin = path.stat().st_mtime
        end = pki.expires_at(certificate).timestamp()
    except (OSError, ValueError):
        return 0.0
    return max(0.0, begin + (end - begin) * _RENEW_SHARE - clock.time())
