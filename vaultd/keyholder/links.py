"""Where servers come in, one after the other: the link socket of a keyholder that is a unit of its own.

Threat: another process takes the server's place, and has the keyholder believe a store of its own or decrypt for peers
that it makes up. Measures: the socket is systemd's, in a directory that only root may write, open to the server's user
alone; and the kernel is asked who connected, so that a wrong mode is not enough. One server at a time: the next waits
until the link of the last has ended. Limit: root, and code that runs as the server's user, are the server.
"""

import logging
import selectors
import socket
from collections.abc import Callable

from vaultd.keyholder.loop import Loop
from vaultd.keyholder.peercred import peer_facts
from vaultd.model import PeerFacts

log = logging.getLogger(__name__)


class LinkSocket:
    """Accepts the server, and no other uid.

    Args:
        listener: The listening socket.
        server_uid: Who may connect.
        attached: Told of each server that was taken up, before its first request.
    """

    def __init__(
        self, loop: Loop, listener: socket.socket, server_uid: int, attached: Callable[[PeerFacts], None]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._server_uid = server_uid
        self._attached = attached
        listener.setblocking(False)

    def open(self) -> None:
        """Waits for the next server."""
        self._loop.watch(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # It has left again.
        peer = peer_facts(connection)
        if peer.uid != self._server_uid:
            log.warning("refused a server of uid %d; only uid %d is served", peer.uid, self._server_uid)
            connection.close()
            return
        self._loop.unwatch(self._listener)
        self._attached(peer)
        self._loop.attach(connection)
