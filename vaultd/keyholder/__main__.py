"""The keyholder process: hardened first, everything else after. Started by `keyholder.process`, never by hand.

usage: python -s -S -P -m vaultd.keyholder PARENT_PID LINK_FD UNLOCK_FD
"""

import sys
from typing import Any

from vaultd.keyholder.harden import harden_early, memory_hygiene_check, seal


def main() -> None:
    """Runs until the link closes or the vault is locked."""
    parent, link_fd, unlock_fd = (int(argument) for argument in sys.argv[1:4])
    checks = harden_early(parent, {link_fd, unlock_fd})

    # Imported only now, and all of it before the sandbox closes: it lets nothing be opened afterwards.
    import logging
    import os
    import socket

    from vaultd import limits
    from vaultd.crypto import selftest
    from vaultd.keyholder.calls import Calls
    from vaultd.keyholder.hello import hello
    from vaultd.keyholder.loop import Loop, Task
    from vaultd.keyholder.methods import METHODS
    from vaultd.keyholder.secretmem import SecretMemory
    from vaultd.keyholder.unlock import UnlockSocket
    from vaultd.keyholder.vault import Keyholder
    from vaultd.kinds import Catalogue

    logging.basicConfig(format="vaultd keyholder: %(message)s", level=logging.INFO)
    logging.raiseExceptions = False
    loop = Loop(socket.socket(fileno=link_fd))
    memory = SecretMemory(limits.SECRET_PAGE_BYTES)
    holder = Keyholder(loop, memory, Catalogue.load())
    holder.calls = Calls(holder, METHODS)
    checks += [memory.check, memory_hygiene_check(), selftest.run()]
    listener = socket.socket(fileno=unlock_fd)
    # Not the server: SO_PEERCRED tells a client who called listen(), and that must be who reads the passphrase.
    listener.listen(limits.UNLOCK_CONNECTIONS)
    checks += seal()
    if not all(check.ok for check in checks if check.name == "primitives"):
        os._exit(3)
    unlock_socket = UnlockSocket(holder, listener)

    def greet(payload: Any) -> Task:
        # Once: a second hello would tell an unlocked keyholder that it is a fresh one.
        del loop.requests["hello"]
        answer = yield from hello(holder, payload, checks)
        unlock_socket.open()
        return answer

    loop.requests = {"hello": greet, "call": holder.calls}

    def tick() -> None:
        unlock_socket.tick()
        holder.tick()

    loop.tick = tick
    loop.run()


if __name__ == "__main__":
    main()
