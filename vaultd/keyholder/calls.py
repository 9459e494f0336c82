"""Signed requests: proved, decided, done, sealed.

1. The bytes have the layout, the magic and a signature (one verification whatever else is wrong, so that the time
   taken tells nothing).
2. Vault and epoch are this one: a signature from before a lock is worth nothing.
3. The key is on the allowlist.
4. The signature verifies under it: from here on the audit may name the client.
5. The client is active; uid and unit are those that the kernel reports.
6. No flags; issued on this host's CLOCK_BOOTTIME not long ago, and not ahead of it; a reply key that can be sealed to.
7. The nonce is new. Only now is it remembered: nobody else can fill the cache.
8. The method is the one that was called, and the bytes that were verified parse as its request.
9. A permission or grant allows it (policy.py).
10. The change is durable in store and audit. The entry of a reveal is on its way to the disk.
11. The answer is sealed to the request's one-time key and signed by the vault.
12. A sealed answer with plaintext leaves when its entry is durable; when it cannot be, it is dropped. The server, which
    alone knows when, holds it back (stub.py): asking it first and then giving it the answer would trust it no less.

Steps 1 to 8 fail with one error, REQUEST_REFUSED; which one it was stands in the audit.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message

from vaultd import limits
from vaultd.crypto import requests
from vaultd.errors import PermissionDeniedError, RateLimitedError, RequestRefusedError, VaultError
from vaultd.keyholder import policy
from vaultd.keyholder.clock import boot_ns
from vaultd.keyholder.denials import Denials
from vaultd.keyholder.ledger import Entry
from vaultd.keyholder.loop import Task, Turn
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import ANY_UID, ClientRow, ClientState, PeerFacts

_NO_SIGNATURE = bytes(limits.SIGNATURE_BYTES)
"""Verifies under no key: its R is no multiple that fits, and it takes as long as any to find that out."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A proved client and its request; none of a unit, which systemd proves and which signs nothing."""

    client: ClientRow
    peer: PeerFacts
    request: requests.Request | None
    method: str
    rule: str
    number: int
    """Of the call on the link."""

    def entry(self, **more: Any) -> Entry:
        """Returns an audit entry of this request."""
        return Entry(self.method, self.peer, client=self.client.name, **{"rule": self.rule, **more})


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the policy table.

    permission: What a client needs; empty where the handler decides by grant. changes: Takes its turn with other
    changes. handler: Gets (holder, unlocked, caller, request) and returns a message, or a SecretBuffer that holds a
    serialized one.
    """

    request: type[Message]
    permission: str
    changes: bool
    handler: Callable[[Keyholder, Unlocked, Caller, Any], Task]


class _RefusedError(Exception):
    """A failure of steps 1 to 8, with the rule for the audit."""

    def __init__(self, rule: str, client: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.client = client


class Calls:
    """Answers the `call` request of the link."""

    def __init__(self, holder: Keyholder, methods: dict[str, Method]) -> None:
        self._holder = holder
        self._methods = methods
        self.denials = Denials(holder)

    def __call__(self, number: int, payload: Any) -> Task:
        """Handles one signed request; `payload`: method, signed, signature, peer."""
        unlocked = self._holder.require_unlocked()
        called, signed, signature = payload["method"], payload["signed"], payload["signature"]
        peer = PeerFacts(*payload["peer"])
        name = called.rpartition("/")[2]
        try:
            client, request = self._prove(unlocked, called, signed, signature, peer)
            method, message = self._parse(request)
        except _RefusedError as refused:
            self.denials.add(Entry(name, peer, decision="deny", rule=refused.rule, client=refused.client))
            raise RequestRefusedError from None
        caller = self._permitted(unlocked, method, Caller(client, peer, request, name, "", number))
        answer = yield from self._run(method, unlocked, caller, message)
        return self._seal(unlocked, request, signed, signature, answer)

    def deny(self, caller: Caller, rule: str, *, exchange: str = "", configuration: str = "") -> None:
        """Writes the denial of a proved client to the audit."""
        self.denials.add(caller.entry(decision="deny", rule=rule, exchange=exchange, configuration=configuration))

    def _run(self, method: Method, unlocked: Unlocked, caller: Caller, message: Message) -> Task:
        if not method.changes:
            return (yield from method.handler(self._holder, unlocked, caller, message))
        yield Turn()
        try:
            # The turn may have taken long, and the one before may have revoked this very client.
            caller = self._permitted(unlocked, method, caller)
            return (yield from method.handler(self._holder, unlocked, caller, message))
        finally:
            self._holder.loop.end_turn()

    def _permitted(self, unlocked: Unlocked, method: Method, caller: Caller) -> Caller:
        """Returns the caller as the allowlist has it at this moment, with the rule that lets it use the method."""
        client = unlocked.allowlist.now(caller.client)
        if client is not caller.client:
            caller = dataclasses.replace(caller, client=client)
        if client.state != ClientState.ACTIVE:
            self.deny(caller, f"client-{client.state.lower()}")
            raise RequestRefusedError
        if not method.permission:
            return caller
        decision = policy.by_permission(client, method.permission)
        if not decision.allowed:
            self.deny(caller, decision.rule)
            raise PermissionDeniedError(metadata={"permission": method.permission})
        return dataclasses.replace(caller, rule=decision.rule)

    def _prove(
        self, unlocked: Unlocked, called: str, signed: bytes, signature: bytes, peer: PeerFacts
    ) -> tuple[ClientRow, requests.Request]:
        request, client, verified = self._verify(unlocked, signed, signature)  # 1, 4
        if request is None:
            raise _RefusedError("malformed")
        if request.vault_id != unlocked.vault.vault_id:  # 2
            raise _RefusedError("other-vault")
        if request.epoch != unlocked.epoch:
            raise _RefusedError("other-epoch")
        if client is None:  # 3
            raise _RefusedError("unknown-key")
        if not verified:
            # Before the rest, so that the audit names a client only where its key was proved.
            raise _RefusedError("bad-signature")
        now = boot_ns()
        fault = _fault(client, request, peer, now)
        if fault:
            raise _RefusedError(fault, client.name)
        expires = request.issued_ns + request.ttl_ms * 1_000_000
        if not unlocked.nonces.add(client.client, request.nonce, expires, now):  # 7
            raise _RefusedError("replayed", client.name)
        if request.method != called:  # 8
            raise _RefusedError("other-method", client.name)
        return client, request

    @staticmethod
    def _verify(
        unlocked: Unlocked, signed: bytes, signature: bytes
    ) -> tuple[requests.Request | None, ClientRow | None, bool]:
        try:
            request = requests.parse_request(signed)
        except VaultError:
            request = None
        client = unlocked.allowlist.client(request.key_id.hex()) if request else None
        # A stranger's request is verified too, under a key that can have signed nothing of the kind.
        public_key = client.public_key if client else unlocked.vault.identity
        try:
            # One of another length would be refused before the curve is touched, and sooner than the rest.
            requests.verify(public_key, signature if len(signature) == limits.SIGNATURE_BYTES else _NO_SIGNATURE, signed)
        except RequestRefusedError:
            return request, client, False
        return request, client, client is not None

    def _parse(self, request: requests.Request) -> tuple[Method, Message]:
        method = self._methods.get(request.method)
        if method is None:
            raise _RefusedError("unknown-method")
        message = method.request()
        try:
            message.ParseFromString(request.body)
        except DecodeError:
            raise _RefusedError("bad-body") from None
        return method, message

    @staticmethod
    def _seal(
        unlocked: Unlocked, request: requests.Request, signed: bytes, signature: bytes, answer: Any
    ) -> dict[str, bytes]:
        identity = unlocked.keys.identity
        if isinstance(answer, SecretBuffer):
            with answer:
                sealed = requests.seal_reply(identity, request.reply_key, signed, signature, answer.view)
        else:
            plain = answer.SerializeToString()
            if len(plain) > limits.MAX_REPLY_BYTES:
                raise RateLimitedError("the reply is too large: ask for a smaller page")
            sealed = requests.seal_reply(identity, request.reply_key, signed, signature, plain)
        return {"sealed": sealed[0], "signature": sealed[1]}


def _fault(client: ClientRow, request: requests.Request, peer: PeerFacts, now_ns: int) -> str:
    """Returns what is wrong with a request whose signature is good (5, 6); the empty string for nothing."""
    age_ns = now_ns - request.issued_ns
    faults = (
        (client.state != ClientState.ACTIVE, f"client-{client.state.lower()}"),
        (client.uid not in (peer.uid, ANY_UID) or request.uid != peer.uid, "wrong-uid"),
        (client.unit not in ("", peer.unit), "wrong-unit"),
        (request.flags != 0, "bad-flags"),
        (not 1 <= request.ttl_ms <= limits.MAX_TTL_MS, "bad-ttl"),
        # Here, although it is used last: a refused request has changed nothing.
        (not requests.usable_reply_key(request.reply_key), "bad-reply-key"),
        (age_ns < -limits.MAX_CLOCK_LEAD_MS * 1_000_000, "from-the-future"),
        (age_ns > request.ttl_ms * 1_000_000, "expired"),
    )
    return next((rule for wrong, rule in faults if wrong), "")
