r"""Credentials for systemd units: who asks is the unit that systemd starts, and what it gets is a file.

The server accepts on credentials.sock and hands the connection itself over; plaintext goes from secret memory into it
and never passes the server.

1. The kernel says that root connected (SO_PEERCRED), and by which name: systemd binds `\0<hex>/unit/UNIT/ID` before it
   connects (systemd.exec(5), LoadCredential=). Asked of the connection here, not of the server.
2. What the server read of the peer's cgroup is that same unit, where it could read it.
3. The id has a form (credential_ids.py); a grant to the unit allows it, or nothing does (policy.py, as for a client).
4. The audit entry is durable; then the file is written.

Threat: a server that was taken over asks for what it likes. Measure: it can hand over connections, but the plaintext
goes to their other end, and only where that is root's and has a unit's name; it has no such connection but those that
systemd makes. A descriptor that is no such connection is refused and closed. Limits: it can hand one over twice, end
it, or write into it first, so it decides whether a unit starts, and what a guard at its start has to stop; it says what
the cgroup is; root, who may bind any name, is every unit.
"""

import contextlib
import logging
import re
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from vaultd import limits
from vaultd.crypto import requests
from vaultd.errors import (
    CredentialNotFoundError,
    ExchangeNotFoundError,
    PermissionDeniedError,
    RecordInvalidError,
)
from vaultd.keyholder import credential_ids, exchanges, policy, records, renderings, reveal, unit_keys
from vaultd.keyholder.allowlist import unit_client
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.credential_ids import CLIENT_KEY, Wanted
from vaultd.keyholder.ledger import Entry
from vaultd.keyholder.loop import Loop, Task
from vaultd.keyholder.peercred import peer_facts
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import CONFIGURATIONS, PeerFacts
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialRequest

log = logging.getLogger(__name__)
METHOD = "LoadCredential"
_NAME = re.compile(rb"\0[0-9a-f]{1,16}/unit/([A-Za-z0-9:_.\\@-]+\.service)/([^/\0]+)")
"""src/core/execute.c of systemd: `@%PRIx64/unit/%s/%s`."""


@dataclass(frozen=True, slots=True)
class _UnitCaller(Caller):
    """A unit and the credential that it asks for, which every entry of the audit names."""

    credential: str = ""

    def entry(self, **more: Any) -> Entry:
        return Caller.entry(self, **{"detail": f"credential {self.credential}", **more})


class Units:
    """Answers `credential` and `unit-ended` of the link.

    Attributes:
        cgroups: Each unit that has a client key, and the control group that it lives and dies with, as the server wrote it.
    """

    def __init__(self, holder: Keyholder) -> None:
        self._holder = holder
        self._writing: set[_Writing] = set()
        self.cgroups: dict[str, str] = {}

    def tick(self) -> None:
        """Ends what nobody reads."""
        for writing in list(self._writing):
            writing.end_if_late()

    def credential(self, number: int, payload: Any) -> Task:
        """Serves or refuses the connection that was handed over; `payload`: peer, cgroup.

        Raises:
            VaultError: Why it is refused, for the administrator's eyes.
        """
        connection = self._holder.loop.take_descriptor()
        try:
            unlocked = self._holder.require_unlocked()
            unit, name = _asked(connection)
            given = PeerFacts(*payload["peer"])
            facts = peer_facts(connection)
            peer = PeerFacts(facts.uid, facts.gid, facts.pid, unit, given.started_ms)
            caller = _UnitCaller(unit_client(unit), peer, None, METHOD, "", number, credential=name)
            if given.unit != unit:
                self._deny(caller, "other-unit")
                raise PermissionDeniedError(f"the process that asks is not in {unit}")
            if name == CLIENT_KEY:
                plain = yield from self._client_key(unlocked, caller, str(payload["cgroup"]))
            else:
                plain = yield from self._key_pair(unlocked, caller)
            self._writing.add(_Writing(self._holder.loop, connection, plain, self._writing.discard))
        except BaseException:
            connection.close()
            raise
        return {"minted": name == CLIENT_KEY}

    def ended(self, _number: int, payload: Any) -> Task:
        """The unit of a client key has stopped; `payload`: unit, cgroup."""
        yield from ()
        if self._holder.unlocked is not None and self.cgroups.get(payload["unit"]) == payload["cgroup"]:
            del self.cgroups[payload["unit"]]
            self._holder.unlocked.allowlist.drop_unit_key(payload["unit"])
        return {}

    def _key_pair(self, unlocked: Unlocked, caller: _UnitCaller) -> Task:
        holder, unit = self._holder, caller.peer.unit
        try:
            wanted = credential_ids.parse(caller.credential)
            configuration = wanted.configuration or (yield from self._only_half(unlocked, caller, wanted))
        except RecordInvalidError:
            self._deny(caller, "bad-id")
            raise
        except ExchangeNotFoundError:
            self._deny(caller, "no-exchange")
            raise ExchangeNotFoundError(f"there is no exchange {wanted.exchange}") from None
        request = RevealCredentialRequest(exchange=wanted.exchange, configuration=configuration)
        try:
            plain = yield from reveal.reveal_here(holder, unlocked, caller, request)
        except PermissionDeniedError:
            text = f"no grant lets {unit} have {configuration} of {wanted.exchange}"
            raise PermissionDeniedError(text) from None
        with plain:
            holder.require_unlocked()  # It may have been locked while the entry was written.
            try:
                return renderings.render(holder.memory, plain.view, wanted.form)
            except RecordInvalidError:
                self._deny(caller, "bad-form")
                raise

    def _only_half(self, unlocked: Unlocked, caller: _UnitCaller, wanted: Wanted) -> Task:
        """Returns the one half that the unit is granted; `read` where it has none, so that its grant is what is missing."""
        exchange = yield from exchanges.find(self._holder, unlocked, wanted.exchange)
        now = unlocked.clock.now_ms()
        grants = unlocked.allowlist.grants_of(caller.client.client)
        halves = [
            half for half in CONFIGURATIONS if any(policy.covers(grant, exchange.exchange, half, now) for grant in grants)
        ]
        if len(halves) > 1:
            text = f"{caller.peer.unit} is granted both halves: ask for {wanted.exchange}.read.{wanted.form} or .write"
            raise RecordInvalidError(text)
        return halves[0] if halves else CONFIGURATIONS[0]

    def _client_key(self, unlocked: Unlocked, caller: _UnitCaller, cgroup: str) -> Task:
        holder, unit = self._holder, caller.peer.unit
        self._require_key_allowed(unlocked, caller, cgroup)
        public, file = unit_keys.mint(
            holder.memory, unlocked.vault.vault_id, unlocked.vault.identity, unlocked.clock.now_ms()
        )
        try:
            key_id = requests.key_id(public).hex()
            entry = caller.entry(rule="granted unit", detail=f"credential {CLIENT_KEY}, key {key_id[:16]}")
            yield from holder.commit(unlocked, entry)
            self._require_key_allowed(unlocked, caller, cgroup)  # It may have been taken back meanwhile.
        except BaseException:
            file.close()
            raise
        # The one of its last start is dropped.
        unlocked.allowlist.put_unit_key(records.replaced(caller.client, client=key_id, public_key=public, unit=unit))
        self.cgroups[unit] = cgroup
        return file

    def _require_key_allowed(self, unlocked: Unlocked, caller: _UnitCaller, cgroup: str) -> None:
        self._holder.require_unlocked()
        if not unlocked.allowlist.grants_of(caller.client.client):
            self._deny(caller, "no-grant")
            raise PermissionDeniedError(f"{caller.peer.unit} is granted nothing")
        if not cgroup:
            self._deny(caller, "no-cgroup")
            raise CredentialNotFoundError("the end of the unit could not be noticed: its cgroup cannot be seen")

    def _deny(self, caller: _UnitCaller, rule: str) -> None:
        self._holder.calls.denials.add(caller.entry(decision="deny", rule=rule))


class _Writing:
    """A file on its way into a connection, which ends with it."""

    def __init__(self, loop: Loop, connection: socket.socket, plain: SecretBuffer, done: Any) -> None:
        self._loop = loop
        self._connection = connection
        self._plain = plain
        self._done = done
        self._sent = 0
        self._late = time.monotonic() + limits.CREDENTIAL_WRITE_SECONDS
        connection.setblocking(False)
        loop.watch(connection, selectors.EVENT_WRITE, self._writable)

    def end_if_late(self) -> None:
        if time.monotonic() > self._late:
            self._end()

    def _writable(self, _events: int) -> None:
        try:
            with self._plain.view[self._sent :] as rest:
                self._sent += self._connection.send(rest)
        except BlockingIOError:
            return
        except OSError:
            self._end()  # It has hung up.
            return
        if self._sent == len(self._plain):
            self._end()

    def _end(self) -> None:
        self._loop.unwatch(self._connection)
        self._plain.close()
        with contextlib.suppress(OSError):
            # For the server's copy as well: the reader sees the end, and nothing can be added.
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._done(self)


def _asked(connection: socket.socket) -> tuple[str, str]:
    """Returns unit and credential id that the other end bound itself to, as root.

    Raises:
        PermissionDeniedError: It is not root's, or has no such name.
    """
    try:
        if connection.family != socket.AF_UNIX or connection.type != socket.SOCK_STREAM:
            raise PermissionDeniedError("it is no connection that systemd makes")
        uid, name = peer_facts(connection).uid, connection.getpeername()
    except OSError:
        raise PermissionDeniedError("it is no connection that systemd makes") from None
    found = _NAME.fullmatch(name) if isinstance(name, bytes) else None
    if uid != 0 or found is None:
        raise PermissionDeniedError("it is not root, with the name that systemd gives itself")
    try:
        return found[1].decode("ascii"), found[2].decode("ascii")
    except UnicodeDecodeError:
        raise PermissionDeniedError("the credential id is not ASCII") from None
