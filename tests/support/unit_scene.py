"""A daemon with credentials.sock and a unit, as tests of what units get use them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import Daemon, new_daemon
from tests.support.disks import mounted
from tests.support.services import ask, service_cgroup

REVEAL = """
import sys
from vaultd_client import ClientKey, VaultClient
from vaultd_client.errors import VaultClientError
path, key, *groups = sys.argv[1:]
for group in groups:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write("0")
with VaultClient(path, ClientKey.load(key)) as vault:
    try:
        print(vault.reveal("main", "read").secret, end="")
    except VaultClientError as error:
        print(error.reason, end="")
"""


@dataclass
class UnitScene:
    """A daemon with credentials.sock, and a unit that is granted the read half of `main`."""

    daemon: Daemon
    group: Path

    @property
    def unit(self) -> str:
        return self.group.name

    @property
    def socket(self) -> Path:
        return self.daemon.runtime / "credentials.sock"

    def ask(self, credential: str) -> bytes:
        """Asks as systemd does for the unit."""
        return ask(self.socket, credential, self.unit, group=self.group)

    def rules(self) -> list[str]:
        """Returns the rules of the latest denials of the unit."""
        with self.daemon.admin() as admin:
            return [each.rule for each in admin.audit(limit=5, client=f"unit:{self.unit}", decision="deny")]

    def mint(self) -> Path:
        """Returns the path of a fresh client key."""
        path = self.daemon.home / f"minted-{os.urandom(4).hex()}.key"
        path.touch(0o600)
        path.write_bytes(self.ask("vaultd-client.key"))
        return path

    def reveal(self, key: Path, group: Path | None) -> str:
        """Uses a client key from a process in a control group; returns the secret, or the error."""
        public = str(self.daemon.runtime / "vaultd.sock")
        command = [sys.executable, "-c", REVEAL, public, str(key), *([str(group)] if group else [])]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def unit_scene(options: str = "") -> Iterator[UnitScene]:
    """Yields an unlocked daemon, and a unit that is granted the read half of `main`.

    Args:
        options: Those of mount(8) for a small file system of the store's own; empty for none.
    """
    with ExitStack() as closing:
        daemon, group = closing.enter_context(new_daemon()), closing.enter_context(service_cgroup())
        if options:
            closing.enter_context(mounted(daemon.data, options))
        daemon.environment["VAULTD_CREDENTIALS_SOCKET"] = str(daemon.runtime / "credentials.sock")
        daemon.start()
        daemon.initialize()
        daemon.add_exchange("main")
        made = UnitScene(daemon, group)
        with daemon.admin() as admin:
            admin.create_grant(f"unit:{made.unit}", "main", "read")
        yield made


def unlocked(scene: UnitScene) -> UnitScene:
    """Returns the scene, unlocked whatever a test before has left."""
    with scene.daemon.unlocker() as unlocker:
        locked = unlocker.status().state == "LOCKED"
    if locked:
        scene.daemon.unlock()
    return scene
