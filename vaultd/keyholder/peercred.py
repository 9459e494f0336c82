"""Who is at the other end of a unix socket, by the kernel: for both sides of the link, and for the unlock socket."""

import socket
import struct

from vaultd.model import PeerFacts

_UCRED = struct.Struct("=iII")
"""struct ucred: pid, uid, gid (unix(7))."""


def peer_facts(sock: socket.socket) -> PeerFacts:
    """Returns who connected, or, for the side that connected, who called listen().

    No unit: a sealed keyholder cannot read /proc.
    """
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return PeerFacts(uid, gid, pid, "")
