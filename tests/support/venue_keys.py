"""Keys at the exchanges of the tests: what a server knows, and what comes in over HTTP."""

import base64
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str
    host: str

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(slots=True)
class Key:
    """One key pair at an exchange. `rights`: of read, trade, withdraw, transfer; `address_ok`: this host may use it."""

    api_key: str
    secret: str
    passphrase: str = ""
    rights: frozenset[str] = frozenset({"read"})
    bound: bool = True
    address_ok: bool = True
    expires_ms: int = 0
    public: Any = None

    def fields(self) -> dict[str, str]:
        """The key pair as `vaultctl exchange add` takes it."""
        made = {"api_key": self.api_key, "secret": self.secret}
        return {**made, "passphrase": self.passphrase} if self.passphrase else made

    def ccxt(self) -> dict[str, str]:
        made = {"apiKey": self.api_key, "secret": self.secret}
        return {**made, "password": self.passphrase} if self.passphrase else made


@dataclass(slots=True)
class Venue:
    """What the server knows: keys by api_key, and how it behaves: `sound`, or one of the ways of BEHAVIOURS."""

    kind: str
    port: int = 0
    keys: dict[str, Key] = field(default_factory=dict)
    behaviour: str = "sound"
    calls: list[Call] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_key(self, *rights: str, **more: Any) -> Key:
        """Makes a key that the exchange knows."""
        key = unknown_key(self.kind)
        key.rights = frozenset({"read", *rights})
        for name, value in more.items():
            setattr(key, name, value)
        self.keys[key.api_key] = key
        return key


def unknown_key(kind: str) -> Key:
    """Makes a key of the right form that no exchange knows."""
    token = secrets.token_hex(16)
    if kind == "kraken":
        return Key(base64.b64encode(secrets.token_bytes(42)).decode(), base64.b64encode(secrets.token_bytes(64)).decode())
    if kind == "coinbase":
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode()
        return Key(f"organizations/{token}/apiKeys/{token}", pem, public=private.public_key())
    return Key(f"key-{token}", f"secret-{secrets.token_hex(20)}", "phrase-of-key" if kind in {"okx", "kucoin"} else "")
