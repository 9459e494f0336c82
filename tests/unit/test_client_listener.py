"""No secret is told before it is known who listens, and none stays behind.

The file is also the program of the processes in these tests: `python test_client_listener.py UID ROLE ARGUMENTS...`.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.unlock_script import UNLOCKED, Listener, frame, secret
from vaultd_client.errors import (
    NotRunningError,
    UntrustedVaultError,
    VaultClientError,
)
from vaultd_client.listener import owner_set_by_root
from vaultd_client.unlock import UnlockClient

NOBODY = 65534
SECRET_BYTES = 3000
"""Long, so that a copy of it that was freed is not overwritten by the next small allocation."""
ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's process is needed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unlock.sock"


@pytest.fixture
def listener(path: Path) -> Iterator[Listener]:
    made = Listener(path)
    yield made
    made.close()


@pytest.fixture
def root_made(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody but root can have made, as /run/vaultd is."""
    directory = Path("/run") / f"vaultd-test-{os.getpid()}-{tmp_path.name}"
    directory.mkdir(mode=0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory in /tmp that everybody can reach; pytest's own are closed to other users."""
    directory = Path(tempfile.mkdtemp(prefix="vaultd-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


class Role:
    """This file as another process."""

    def __init__(self, role: str, *arguments: object, user: int = -1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", __file__, str(user), role, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)]), "LD_BIND_NOW": "1"},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def tell(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> str:
        said, _ = self.process.communicate(timeout=20)
        return str(said.decode())


@pytest.fixture
def roles() -> Iterator[Callable[..., Role]]:
    made: list[Role] = []

    def start(*arguments: Any, **options: Any) -> Role:
        made.append(Role(*arguments, **options))
        return made[-1]

    yield start
    for role in made:
        role.process.kill()
        role.process.communicate()


def other_listener(roles: Callable[..., Role], directory: Path) -> tuple[Role, Path]:
    """A process of another user that listens in `directory` and reports how many bytes it was told."""
    path = directory / "unlock.sock"
    role = roles("listen", path, user=NOBODY)
    assert role.line() == "listening"
    return role, path


@needs_root
def test_a_stranger_who_listens_is_told_nothing(shared: Path, roles: Callable[..., Role]) -> None:
    shared.chmod(0o777)
    role, path = other_listener(roles, shared)
    with pytest.raises(UntrustedVaultError, match=f"uid {NOBODY}"), UnlockClient(path, timeout=5) as client:
        client.unlock(secret("CANARY"))
    assert role.line() == "told 0 bytes"


@needs_root
def test_the_owner_of_a_directory_that_root_made_is_told(root_made: Path, roles: Callable[..., Role]) -> None:
    os.chown(root_made, NOBODY, NOBODY)
    role, path = other_listener(roles, root_made)
    with UnlockClient(path, timeout=5) as client, pytest.raises(NotRunningError):
        client.unlock(secret("CANARY"))
    assert role.line() not in {"told 0 bytes", ""}


@needs_root
def test_the_owner_of_a_directory_that_he_may_have_made_himself_is_told_nothing(
    shared: Path, roles: Callable[..., Role]
) -> None:
    directory = shared / "vaultd"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    role, path = other_listener(roles, directory)
    with pytest.raises(UntrustedVaultError), UnlockClient(path, timeout=5) as client:
        client.unlock(secret("CANARY"))
    assert role.line() == "told 0 bytes"


@needs_root
def test_a_user_trusts_root_and_himself_and_no_third(root_made: Path, roles: Callable[..., Role]) -> None:
    root_made.chmod(0o777)
    listener = Listener(root_made / "unlock.sock")
    try:
        (root_made / "unlock.sock").chmod(0o666)
        listener.answers = [frame(UNLOCKED), frame(UNLOCKED)]
        assert roles("unlock", root_made / "unlock.sock", user=NOBODY).end().strip() == "unlocked"
        role = roles("listen", root_made / "own.sock", user=NOBODY)
        assert role.line() == "listening"
        assert roles("unlock", root_made / "own.sock", user=NOBODY).end().strip() == "NotRunningError"
        assert roles("unlock", root_made / "own.sock", user=NOBODY - 1).end().strip() == "RefusedError"
        (root_made / "own.sock").chmod(0o666)
        assert roles("unlock", root_made / "own.sock", user=NOBODY - 1).end().strip() == "UntrustedVaultError"
    finally:
        listener.close()


@needs_root
def test_a_directory_counts_only_where_root_alone_can_have_made_it(root_made: Path) -> None:
    os.chown(root_made, NOBODY, NOBODY)
    assert owner_set_by_root(root_made) == NOBODY
    root_made.chmod(0o757)
    assert owner_set_by_root(root_made) is None
    root_made.chmod(0o755)
    inner = root_made / "inner"
    inner.mkdir()
    os.chown(inner, NOBODY, NOBODY)
    assert owner_set_by_root(inner) is None
    os.chown(root_made, 0, 0)
    assert owner_set_by_root(inner) == NOBODY
    for writable in (0o775, 0o757):
        root_made.chmod(writable)
        assert owner_set_by_root(inner) is None
    (root_made / "link").symlink_to("/run")
    assert owner_set_by_root(root_made / "link") == 0
    assert owner_set_by_root(root_made / "missing") is None
    assert owner_set_by_root(Path("/tmp")) is None


# --- what stays behind ------------------------------------------------------------------------------------------------


def found_in(pid: int, pattern: bytes) -> int:
    """Counts `pattern` in the readable memory of a process."""
    count = 0
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            area, mode = line.split()[:2]
            start, end = (int(each, 16) for each in area.split("-"))
            if mode.startswith("rw"):
                try:
                    memory.seek(start)
                    count += memory.read(end - start).count(pattern)
                except OSError:
                    continue
    return count


def test_a_secret_that_the_caller_wiped_is_nowhere_in_the_process(
    listener: Listener, path: Path, roles: Callable[..., Role]
) -> None:
    listener.answers = [frame(UNLOCKED)]
    role = roles("hold", path)
    assert role.line() == "ready"
    canary = os.urandom(SECRET_BYTES)
    role.tell(canary)
    assert role.line() == "sent"
    assert found_in(role.process.pid, canary[-16:]) == 1
    role.tell(b"\n")
    assert role.line() == "wiped"
    assert found_in(role.process.pid, canary[-16:]) == 0
    assert listener.received[0][1] == [canary]


# --- roles ------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Tells the test."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def listen(path: str) -> None:
    """Accepts once, closes after the first bytes, and says how many there were."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        say("listening")
        connection, _ = server.accept()
        with connection:
            say(f"told {len(connection.recv(4096))} bytes")
        sys.stdin.read()


def unlock(path: str) -> None:
    """Unlocks and says what came of it."""
    try:
        with UnlockClient(path, timeout=5) as client:
            client.unlock(secret("CANARY"))
    except VaultClientError as error:
        say(type(error).__name__)
    else:
        say("unlocked")


def hold(path: str) -> None:
    """Reads a secret where it stays, sends it, wipes it when told."""
    with UnlockClient(path, timeout=5) as client:
        client.connect()
        say("ready")
        held = bytearray(SECRET_BYTES)
        os.readv(0, [held])
        client.unlock(held)
        say("sent")
        os.readv(0, [bytearray(1)])
        ctypes.memset((ctypes.c_char * len(held)).from_buffer(held), 0, len(held))
        say("wiped")
        os.readv(0, [bytearray(1)])


if __name__ == "__main__":
    # Here, not by the parent: the interpreter may lie where other users cannot reach it.
    os.setresuid(*[int(sys.argv[1])] * 3)
    {"listen": listen, "unlock": unlock, "hold": hold}[sys.argv[2]](*sys.argv[3:])
