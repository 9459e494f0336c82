"""The keyholder process: hardened first, everything else after. Started by `keyholder.process`, never by hand.

usage: python -s -S -P -m vaultd.keyholder child PARENT_PID LINK_FD UNLOCK_FD
       python -s -S -P -m vaultd.keyholder unit SERVER_UID LINK_FD UNLOCK_FD

A child has one server, its parent, at the other end of the link, and ends with it. A unit of its own has a listening
link socket, and serves one server of that uid after the other.
"""

import sys

from vaultd.keyholder.harden import harden_early


def main() -> None:
    """Runs until the vault is locked; a child, until the link ends."""
    is_unit = sys.argv[1] == "unit"
    owner, link_fd, unlock_fd = (int(argument) for argument in sys.argv[2:5])
    checks = harden_early(None if is_unit else owner, {link_fd, unlock_fd})

    # Imported only now: whatever these load runs in a process that nobody may trace any more.
    from vaultd.keyholder.run import run

    run(link_fd, unlock_fd, checks, server_uid=owner if is_unit else None)


if __name__ == "__main__":
    main()
