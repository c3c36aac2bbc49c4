"""Registries of a test: the CNCF distribution registry with TLS of an own authority, and passwords or tokens.

The token server speaks the registry's token protocol (distribution specification, "Token Authentication"): it takes the
same user and password and answers with a signed JWT.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlparse

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sampan.base.pki import CertificateAuthority
from tests.e2e.inside import inside

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.e2e.hosts import Host

USER, PASSWORD = "reader", "s3cret"
_HASH = "$2b$05$B85d85N74NT6GjO.jbkTaeGFAOY7Q9AOoOMkfep7woHC9v5tsHBpi"


class Registry:
    """A registry on a host; `name` is what stands before an image's repository. Use as a context manager."""

    def __init__(self, host: Host, port: int, folder: Path, *, token_realm: str = "") -> None:
        self.name = f"{host.address}:{port}"
        self.folder = folder
        self._host = host
        self._token_realm = token_realm
        self._process: subprocess.Popen[str] | None = None

    @property
    def cert_dir(self) -> Path:
        """As `--cert-dir` and containerd's certs.d want it: ca.crt."""
        return self.folder / "certs"

    def __enter__(self) -> Self:
        self.folder.mkdir()
        authority = CertificateAuthority.create("registry test")[0]
        pair = authority.issue("registry", names=[self._host.address], usages=["server auth"])
        self.cert_dir.mkdir()
        (self.cert_dir / "ca.crt").write_bytes(authority.certificate)
        (self.folder / "tls.crt").write_bytes(pair.certificate)
        (self.folder / "tls.key").write_bytes(pair.key)
        (self.folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
        auth = {"htpasswd": {"realm": "test", "path": str(self.folder / "htpasswd")}}
        if self._token_realm:
            auth = {"token": {"realm": self._token_realm, "service": "registry", "issuer": "test",
                              "rootcertbundle": str(self.folder.parent / "tokens.crt")}}  # fmt: skip
        tls = {"certificate": str(self.folder / "tls.crt"), "key": str(self.folder / "tls.key")}
        config = {"version": 0.1, "log": {"level": "warn"}, "storage": {"inmemory": {}}, "auth": auth,
                  "http": {"addr": self.name, "secret": "x", "tls": tls}}  # fmt: skip
        (self.folder / "config.yml").write_text(json.dumps(config))
        with (self.folder / "log").open("w") as log:
            self._process = self._host.popen(
                "docker-registry", "serve", str(self.folder / "config.yml"), stdout=log, stderr=log
            )
        end = time.monotonic() + 10
        while self._host.run("curl", "-sk", f"https://{self.name}/", check=False).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def credentials(self, password: str = PASSWORD) -> dict[str, object]:
        """The content of a login file."""
        return {"auths": {self.name: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}}

    def authfile(self, password: str = PASSWORD) -> str:
        path = self.folder / f"auth-{password}.json"
        path.write_text(json.dumps(self.credentials(password)))
        return str(path)


class TokenServer:
    """Answers with tokens for whoever knows the password. Use as a context manager."""

    def __init__(self, host: Host, port: int, folder: Path) -> None:
        self.url = f"http://{host.address}:{port}/token"
        self.granted = 0
        authority = CertificateAuthority.create("token test")[0]
        self._pair = authority.issue("tokens")
        (folder / "tokens.crt").write_bytes(authority.certificate)
        with inside(host):
            self._server = ThreadingHTTPServer((host.address, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _token(self, subject: str, scopes: list[str]) -> str:
        now = int(time.time())
        access = [dict(zip(("type", "name", "actions"), one.split(":"), strict=True)) for one in scopes]
        access = [{**one, "actions": one["actions"].split(",")} for one in access]
        certificate = x509.load_pem_x509_certificate(self._pair.certificate)
        chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
        claims = {"iss": "test", "sub": subject, "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": str(now), "access": access}  # fmt: skip
        self.granted += 1
        return jwt.encode(claims, self._pair.key, algorithm="ES256", headers={"x5c": chain})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if self.headers.get("Authorization") != wanted:
                    self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]})
                    return
                scopes = parse_qs(urlparse(self.path).query).get("scope", [])
                token = tokens._token(USER, [part for one in scopes for part in one.split(" ")])
                self._answer(200, {"token": token, "access_token": token, "expires_in": 300})

            def do_POST(self) -> None:
                """OAuth's form, which containerd tries first; a server without it says so."""
                self._answer(404, {"error": "not here"})

            def _answer(self, status: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
