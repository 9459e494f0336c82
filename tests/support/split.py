"""A daemon whose keyholder is a process of its own, as in the units, with this process in the place of systemd."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.processes import until

_ACTIVATE = 'LISTEN_PID=$$; export LISTEN_PID; exec "$@" 3<&{link} 4<&{unlock}'


class Split(Daemon):
    """Server and keyholder apart. The listening sockets are ours: they outlive both."""

    def __init__(self, home: Path) -> None:
        me = pwd.getpwuid(os.getuid()).pw_name
        settings = home / "vaultd.toml"
        settings.write_text(f'server_user = "{me}"\nkeyholder_user = "{me}"\n')
        super().__init__(home, {"VAULTD_KEYHOLDER_SOCKET": str(home / "run/link.sock"), "VAULTD_CONFIG": str(settings)})
        self.settings = settings
        self.runtime.mkdir()
        self.link = self._listening("link.sock")
        self.unlock_listener = self._listening("unlock.sock")
        self.keyholder: subprocess.Popen[bytes] | None = None

    def _listening(self, name: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(self.runtime / name))
        sock.listen()
        return sock

    def start_keyholder(self) -> int:
        """Starts a keyholder on the sockets, as systemd would; returns its pid."""
        numbers = {"link": self.link.fileno(), "unlock": self.unlock_listener.fileno()}
        command = ["bash", "-c", _ACTIVATE.format(**numbers), "bash", sys.executable, "-m", "vaultd", "--keyholder"]
        names = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "link.sock:unlock.sock"}
        with self.log_path.open("ab") as log:
            self.keyholder = subprocess.Popen(
                command, env={**self.environment, **names}, pass_fds=[*numbers.values()], stdout=log, stderr=log, cwd=self.home
            )
        return self.keyholder.pid

    def await_keyholder_end(self) -> int:
        """Returns the exit code of the keyholder."""
        assert self.keyholder is not None
        return self.keyholder.wait(20)

    def crash(self) -> None:
        """kill -9 of the server, and a new one."""
        self.kill()
        self.start()

    def state(self) -> str:
        """Returns what the server says the vault is."""
        with self.client() as client:
            return client.vault().state

    def await_state(self, state: str) -> None:
        """Waits until the server says so."""
        until(lambda: self.state() == state)

    def close(self) -> None:
        """Ends both."""
        super().close()
        if self.keyholder is not None and self.keyholder.poll() is None:
            self.keyholder.send_signal(signal.SIGKILL)
            self.keyholder.wait(20)
        self.link.close()
        self.unlock_listener.close()


@contextmanager
def split() -> Iterator[Split]:
    """Yields an unlocked vault with binance-main, its keyholder apart."""
    with tempfile.TemporaryDirectory(prefix="vaultd-test-", dir="/tmp") as home:
        Path(home).chmod(0o755)  # another user must come as far as the sockets
        made = Split(Path(home))
        try:
            made.start_keyholder()
            made.start()
            made.initialize()
            made.add_exchange()
            yield made
        finally:
            made.close()


def revealed(apart: Split) -> dict[str, str]:
    """Returns the read half of binance-main in plaintext."""
    with apart.admin() as admin:
        return dict(admin.reveal("binance-main", "read").fields)
