"""An issuer of tokens on a loopback port: discovery, keys, and whatever is wrong with them."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, id: str, **more: Any) -> dict[str, Any]:
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": id, "use": "sig", **more}


class Issuer:
    """``documents``: path → (status, what is answered). ``asked``: the paths that were."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys = [public(RSA, "one"), public(CURVE, "curve")]
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                status, told = issuer.answer(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/pool"
        self.documents: dict[str, Any] = {
            "/pool/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        }

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/pool/keys":
            return 200, json.dumps({"keys": self.keys}).encode()
        known = self.documents.get(path)
        return (404, b"") if known is None else (200, known if isinstance(known, bytes) else json.dumps(known).encode())

    def token(self, key: Any = RSA, id: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """Claims that are None are left out."""
        now = int(time.time())
        given = {"iss": self.url, "aud": "web", "sub": "ann", "exp": now + 300, "iat": now - 1, **claims}
        kept = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": id})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
