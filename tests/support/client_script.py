"""The vault as a script, for tests of what the client library decides.

It is put together from proto/README.md with `cryptography` alone, and hands out what a test tells it to. The promises
that the daemon makes are tested on the daemon.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.message import Message

from vaultd_api.v1 import (
    envelope_pb2,
    exchange_service_pb2,
    kind_pb2,
    resources_pb2,
    vault_service_pb2,
)
from vaultd_client import calls, methods
from vaultd_client.errors import RefusedError, VaultClientError
from vaultd_client.keys import ClientKey, Pin
from vaultd_client.methods import Method
from vaultd_client.session import Call, Pause, Send, Session

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
BINANCE = kind_pb2.Kind(
    kind="binance",
    fields=[
        {"name": "api_key", "need": "NEED_REQUIRED", "aliases": ["apiKey", "publicApiKey"]},
        {"name": "secret", "need": "NEED_REQUIRED", "aliases": ["apiSecret", "privateApiKey"]},
        {"name": "from_the_future", "need": "NEED_OPTIONAL", "aliases": ["future"]},
    ],
)


class Script:
    """The vault as a script: answers what `answers` maps a method to, or fails as `failures` says, first things first."""

    def __init__(self, answers: Mapping[Method[Any], Message | Callable[[bytes], Message]]) -> None:
        self.identity = Ed25519PrivateKey.generate()
        self.vault_id = os.urandom(16)
        self.state = vault_service_pb2.Vault.STATE_UNLOCKED
        self.answers = {method.path: answer for method, answer in answers.items()}
        self.failures: list[VaultClientError] = []
        self.log: list[str] = []
        self.requests: list[bytes] = []
        self.unlock()

    def unlock(self) -> None:
        """A new epoch and seal key, as after lock and unlock."""
        self.epoch = os.urandom(16)
        self.seal_key = X25519PrivateKey.generate()

    @property
    def pin(self) -> Pin:
        return Pin(self.vault_id, self.identity.public_key().public_bytes_raw())

    def vault(self) -> vault_service_pb2.Vault:
        vault = vault_service_pb2.Vault(state=self.state, vault_id=self.vault_id, identity=self.pin.identity)
        if self.state == vault_service_pb2.Vault.STATE_UNLOCKED:
            vault.epoch = self.epoch
            vault.seal_key = self.seal_key.public_key().public_bytes_raw()
            message = b"vaultd-seal-v1\0\0" + self.vault_id + self.epoch + vault.seal_key
            vault.seal_key_signature = self.identity.sign(message)
        return vault

    def session(self, key: ClientKey | None = None) -> Session:
        made = key or ClientKey.generate().with_pin(self.pin)
        return Session(lambda: made, 5_000)

    def run(self, call: Call[Any]) -> Any:
        """Drives a call to its end."""
        try:
            step = next(call)
            while True:
                if isinstance(step, Pause):
                    self.log.append(f"pause {step.seconds}")
                    step = call.send(b"")
                    continue
                try:
                    answer = self.answer(step)
                except VaultClientError as error:
                    step = call.throw(error)
                else:
                    step = call.send(answer)
        except StopIteration as done:
            return done.value

    def answer(self, step: Send) -> bytes:
        """Answers one request as the daemon would."""
        self.log.append(step.method.rpartition("/")[2])
        if step.method == methods.GET_VAULT.path and methods.GET_VAULT.path not in self.answers:
            return bytes(vault_service_pb2.GetVaultResponse(vault=self.vault()).SerializeToString())
        if self.failures:
            raise self.failures.pop(0)
        if not step.signed:
            return self._response(step.method, step.request)
        request = envelope_pb2.SignedRequest.FromString(step.request)
        signed = request.signed
        if signed[32:48] != self.epoch:
            raise refused()
        self.requests.append(signed)
        length = int.from_bytes(signed[148:150], "big")
        assert signed[150 : 150 + length].decode() == step.method
        body = signed[154 + length :]
        context = b"vaultd-rep-v1\0\0\0" + hashlib.sha256(signed + request.signature).digest()
        reply_key = X25519PublicKey.from_public_bytes(signed[116:148])
        sealed = SUITE.encrypt(self._response(step.method, body), reply_key, info=context)
        signature = self.identity.sign(context + len(sealed).to_bytes(4, "big") + sealed)
        return bytes(envelope_pb2.SignedReply(sealed=sealed, signature=signature).SerializeToString())

    def _response(self, method: str, body: bytes) -> bytes:
        answer = self.answers[method]
        message = answer if isinstance(answer, Message) else answer(body)
        return bytes(message.SerializeToString())

    def opened(self, number: int, sealed: bytes) -> resources_pb2.CredentialFields:
        """Opens what was sealed into the request of that number."""
        signed = self.requests[number]
        info = b"vaultd-fld-v1\0\0\0" + self.vault_id + self.epoch + signed[48:80] + signed[100:116]
        return resources_pb2.CredentialFields.FromString(SUITE.decrypt(sealed, self.seal_key, info=info))

    def body(self, number: int) -> bytes:
        """The request message in the request of that number."""
        signed = self.requests[number]
        return signed[154 + int.from_bytes(signed[148:150], "big") :]


def refused() -> RefusedError:
    """Returns the one error of every authentication failure."""
    return RefusedError("request refused", reason="REQUEST_REFUSED")


def revealing() -> Script:
    """Returns a vault that reveals one key pair."""
    fields = resources_pb2.CredentialFields(api_key="k", secret="s")
    response = exchange_service_pb2.RevealCredentialResponse(name="main", fields=fields)
    return Script({methods.REVEAL_CREDENTIAL: response})


def reveal(session: Session) -> Call[Any]:
    """Returns the call that asks for it."""
    return calls.reveal(session, "main", "read", 0)
