"""A webhook server for tests: TLS on loopback, answers made by a function."""

import asyncio
import base64
import json
import ssl
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from sampan.base.pki import CertificateAuthority


class WebhookServer:
    """answer: from the review's request to the response without its uid; requests: all that came."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.targets = []
        self.ca, _ = CertificateAuthority.create("webhook-ca")
        self.port = 0

    def client_config(self, path="/hook"):
        bundle = base64.b64encode(self.ca.certificate).decode()
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": bundle}

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(line.partition(b":")[2])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-l")
                    ),
                    0,
                )
                self.targets.append(head.split(b" ")[1].decode())
                review = json.loads(await reader.readexactly(length))
                self.requests.append(review["request"])
                response = self.answer(review["request"])
                if asyncio.iscoroutine(response):
                    response = await response
                response.setdefault("uid", review["request"]["uid"])
                body = json.dumps({**{k: review[k] for k in ("kind", "apiVersion")}, "response": response}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def context(self):
        pair = self.ca.issue("webhook", names=["127.0.0.1", "hook.default.svc"], usages=("server auth",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "crt").write_bytes(pair.certificate)
            Path(folder, "key").write_bytes(pair.key)
            context.load_cert_chain(Path(folder, "crt"), Path(folder, "key"))
        return context


@asynccontextmanager
async def webhook_server(answer):
    hook = WebhookServer(answer)
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0, ssl=hook.context())
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()


def patch(*operations):
    raw = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patch": raw, "patchType": "JSONPatch"}
