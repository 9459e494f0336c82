"""A real daemon in a directory of its own."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vaultd_client import ClientKey, VaultClient
from vaultd_client.slots import KdfParameters
from vaultd_client.unlock import UnlockClient

PASSPHRASE = b"correct horse battery staple"
RECOVERY = bytes(range(20))
CHEAP = KdfParameters(64 * 1024, 3, 4)
"""The floor: 0.2 s. Nothing cheaper is accepted, in tests neither."""
READ_PAIR = {"api_key": "READ-key-abcdefgh-0001", "secret": "READ-secret-canary-77f1c2"}
WRITE_PAIR = {"api_key": "WRITE-key-abcdefgh-0001", "secret": "WRITE-secret-canary-93b4d5"}


class Daemon:
    """`vaultd` as a process. Start it, stop it, kill it, start it again on the same store."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.runtime, self.data, self.anchor_dir = home / "run", home / "data", home / "anchor"
        self.database = self.data / "vault.db"
        self.anchor = self.anchor_dir / "anchor"
        self.log_path = home / "log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "VAULTD_RUNTIME_DIR": str(self.runtime),
            "VAULTD_DATA_DIR": str(self.data),
            "VAULTD_ANCHOR_DIR": str(self.anchor_dir),
            "XDG_CONFIG_HOME": str(home / "config"),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    # --- life -------------------------------------------------------------------------------------------------

    def spawn(self, *prefix: str) -> subprocess.Popen[bytes]:
        """Starts the process without waiting; `prefix` is put before the command (strace, setpriv)."""
        log = self.log_path.open("ab")
        with log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "vaultd"],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    def start(self, *prefix: str, timeout: float = 30.0) -> "Daemon":
        """Starts it and returns when it serves; AssertionError with its log where it ends instead."""
        before = self.log().count("vaultd: ready")
        process = self.spawn(*prefix)
        pidfd = os.pidfd_open(process.pid)
        try:
            for _ in range(int(timeout / 0.02)):
                if self.log().count("vaultd: ready") > before:
                    return self
                # Waits for its end or a moment: the log is a file, and a file cannot be waited for.
                assert not select.select([pidfd], [], [], 0.02)[0], f"vaultd ended at once:\n{self.log()}"
        finally:
            os.close(pidfd)
        raise AssertionError(f"vaultd is not ready after {timeout} s:\n{self.log()}")

    def stop(self) -> int:
        """Stops it as systemd would; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def close(self) -> None:
        """Ends it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(20)

    def log(self) -> str:
        """Returns all it has said."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        """The server's pid."""
        assert self.process is not None
        return self.process.pid

    @property
    def keyholder_pid(self) -> int:
        """The keyholder's pid, as the keyholder says."""
        with self.unlocker() as unlocker:
            return unlocker.status().pid

    # --- use --------------------------------------------------------------------------------------------------

    def unlocker(self) -> UnlockClient:
        """Returns a client of the unlock socket."""
        return UnlockClient(self.runtime / "unlock.sock")

    def client(self, key: ClientKey | None = None, *, timeout: float = 10.0) -> VaultClient:
        """Returns a client of the public socket: with `key`, or a stranger with a key that nobody allowed."""
        return VaultClient(self.runtime / "vaultd.sock", key or self.stranger(), timeout=timeout)

    def stranger(self) -> ClientKey:
        """Returns a fresh key that pins this vault."""
        pin = self.admin_key.vault if self.has_admin() else None
        return ClientKey.generate().with_pin(pin) if pin else ClientKey.generate()

    def has_admin(self) -> bool:
        """Says whether `initialize` was called."""
        return (self.home / "admin.key").exists()

    @property
    def admin_key(self) -> ClientKey:
        """The key of the first administrator."""
        return ClientKey.load(self.home / "admin.key")

    def admin(self) -> VaultClient:
        """Returns the first administrator."""
        return self.client(self.admin_key)

    def initialize(self, kdf: KdfParameters | None = CHEAP) -> None:
        """Makes the vault, with a cost that vaultd chooses where `kdf` is None; leaves it unlocked."""
        key = ClientKey.generate()
        with self.unlocker() as unlocker:
            pin = unlocker.initialize(
                bytearray(PASSPHRASE),
                bytearray(RECOVERY),
                name="admin",
                public_key=key.public_key,
                uid=os.getuid(),
                kdf=kdf,
            )
        key.with_pin(pin).save(self.home / "admin.key")

    def unlock(self, passphrase: bytes = PASSPHRASE, **options: object) -> object:
        """Unlocks it."""
        with self.unlocker() as unlocker:
            return unlocker.unlock(bytearray(passphrase), **options)  # type: ignore[arg-type]

    def lock(self) -> None:
        """Locks it."""
        with self.unlocker() as unlocker:
            unlocker.lock()

    def add_exchange(self, name: str = "binance-main", **options: object) -> None:
        """Stores an exchange with both halves."""
        with self.admin() as admin:
            admin.create_exchange(name, "binance", {"read": READ_PAIR, "write": WRITE_PAIR}, **options)  # type: ignore[arg-type]

    def add_bot(self, name: str = "bot", *, uid: int | None = None, grants: bool = True, **options: object) -> ClientKey:
        """Allows a client; with a grant to reveal the read half of binance-main."""
        key = self.stranger()
        with self.admin() as admin:
            admin.allow_client(name, key.public_key, os.getuid() if uid is None else uid, **options)  # type: ignore[arg-type]
            if grants:
                admin.create_grant(name, "binance-main", "read")
        return key


@contextmanager
def new_daemon(environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """Yields a daemon in a fresh directory, not started. Below /tmp directly: socket paths have 107 bytes."""
    home = Path(tempfile.mkdtemp(prefix="vaultd-test-"))
    home.chmod(0o755)
    daemon = Daemon(home, environment)
    try:
        yield daemon
    finally:
        daemon.close()
        shutil.rmtree(home, ignore_errors=True)
