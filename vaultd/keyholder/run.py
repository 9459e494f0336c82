"""The keyholder, put together. All of it is imported and tried before the sandbox closes: nothing can be opened after."""

import logging
import os
import socket
from typing import Any, NoReturn

from vaultd import limits
from vaultd.crypto import selftest
from vaultd.keyholder import resume
from vaultd.keyholder.calls import Calls
from vaultd.keyholder.harden import memory_hygiene_check, seal
from vaultd.keyholder.hello import hello, settings
from vaultd.keyholder.links import LinkSocket
from vaultd.keyholder.loop import Loop, Task
from vaultd.keyholder.methods import METHODS
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.keyholder.units import Units
from vaultd.keyholder.unlock import UnlockSocket
from vaultd.keyholder.vault import Keyholder
from vaultd.kinds import Catalogue
from vaultd.model import Check, PeerFacts
from vaultd.notify import Notifier


def run(link_fd: int, unlock_fd: int, checks: list[Check], *, server_uid: int | None) -> NoReturn:
    """Closes the sandbox and serves.

    Args:
        link_fd: The link to the parent, or the listening socket for servers.
        unlock_fd: The bound unlock socket.
        checks: What the hardening has found so far.
        server_uid: Who may connect to the link socket; None for a child.
    """
    logging.basicConfig(format="vaultd keyholder: %(message)s", level=logging.INFO)
    logging.raiseExceptions = False
    notifier = Notifier()
    loop = Loop()
    memory = SecretMemory(limits.SECRET_PAGE_BYTES)
    holder = Keyholder(loop, memory, Catalogue.load())
    holder.calls = Calls(holder, METHODS)
    checks += [memory.check, memory_hygiene_check(), selftest.run()]
    link, listener = socket.socket(fileno=link_fd), socket.socket(fileno=unlock_fd)
    # Neither the server nor systemd: SO_PEERCRED tells a client who called listen(), and that must be who reads the
    # passphrase; the server is told the same of the link.
    listener.listen(limits.UNLOCK_CONNECTIONS)
    if server_uid is not None:
        link.listen(1)
    checks += seal()
    if not all(check.ok for check in checks if check.name == "primitives"):
        os._exit(3)
    unlock_socket = UnlockSocket(holder, listener)
    units = Units(holder)
    servers = _Servers(holder, unlock_socket, units, checks)
    status = _Status(holder, notifier)

    def tick() -> None:
        unlock_socket.tick()
        units.tick()
        holder.tick()
        status.tick()

    loop.tick = tick
    if server_uid is None:
        servers.attached(None)
        loop.attach(link)
    else:
        links = LinkSocket(loop, link, server_uid, servers.attached)

        def lost() -> None:
            holder.server_lost()
            links.open()

        loop.lost = lost
        links.open()
        unlock_socket.open()
        notifier.tell("READY=1")
    loop.run()


class _Servers:
    """Greets each server, and lets it ask once it has proved itself."""

    def __init__(self, holder: Keyholder, unlock_socket: UnlockSocket, units: Units, checks: list[Check]) -> None:
        self._holder = holder
        self._unlock_socket = unlock_socket
        self._units = units
        self._checks = checks

    def attached(self, peer: PeerFacts | None) -> None:
        """There is a server at the other end; `peer` where it has connected."""
        self._holder.loop.requests = {"hello": lambda _number, payload: self._greet(payload, peer)}

    def _greet(self, payload: Any, peer: PeerFacts | None) -> Task:
        holder, loop = self._holder, self._holder.loop
        # Once for each link: a second hello would tell an unlocked keyholder that it is a fresh one.
        del loop.requests["hello"]
        answer = yield from hello(holder, payload, self._checks)
        loop.requests |= {"call": holder.calls, "settings": self._settings}
        loop.requests |= {"credential": self._units.credential, "unit-ended": self._units.ended}
        loop.serve()
        if holder.unlocked is not None and peer is not None:
            holder.announce(holder.unlocked)
            loop.start(resume.note(holder, holder.unlocked, peer), resume.noted)
        self._unlock_socket.open()
        return {**answer, "units": self._units.cgroups}

    def _settings(self, _number: int, payload: Any) -> Task:
        yield from ()
        settings(self._holder, payload)


class _Status:
    """The line that `systemctl status` shows."""

    def __init__(self, holder: Keyholder, notifier: Notifier) -> None:
        self._holder = holder
        self._notifier = notifier
        self._told = ""

    def tick(self) -> None:
        """Says it where it has changed."""
        server = "serves vaultd" if self._holder.loop.serving else "waits for vaultd to connect"
        text = f"STATUS={self._holder.state.lower()}; {server}"
        if text != self._told:
            self._told = text
            self._notifier.tell(text)
