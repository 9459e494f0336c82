"""Promises of `adopt_systemd`: exactly the socket that systemd passed under that name is taken over, or none."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from vaultd.server.sockets import adopt_systemd

ADOPT = """
import sys
from vaultd.server.sockets import adopt_systemd
sock = adopt_systemd(sys.argv[1])
print("none" if sock is None else f"{sock.fileno()} {sock.get_inheritable()} {sock.getsockname()}")
"""


def activate(passed: Sequence[socket.socket | BinaryIO], ask: str = "vaultd.sock", **environment: str) -> str:
    """Runs adopt_systemd(`ask`) in a process that was given `passed` as descriptors 3, 4 ..., as PID 1 does."""
    numbers = [sock.fileno() for sock in passed]
    spare = [100 + index for index in range(len(numbers))]
    moves = [f"{to}<&{number}" for to, number in zip(spare, numbers, strict=True)]
    moves += [f"{3 + index}<&{number}" for index, number in enumerate(spare)]
    script = f'LISTEN_PID=${{LISTEN_PID:-$$}}; export LISTEN_PID; exec "$@" {" ".join(moves)}'
    command = ["bash", "-c", script, "bash", sys.executable, "-c", ADOPT, ask]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
    done = subprocess.run(
        command,
        pass_fds=numbers,
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def unix(tmp_path: Path, name: str, kind: int = socket.SOCK_STREAM, *, listening: bool = True) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(tmp_path / name))
    if listening:
        sock.listen()
    return sock


def test_the_socket_of_that_name_is_adopted(tmp_path: Path) -> None:
    with unix(tmp_path, "first") as first, unix(tmp_path, "second") as second:
        said = activate([first, second], LISTEN_FDS="2", LISTEN_FDNAMES="unlock.sock:vaultd.sock")
    assert said == f"4 False {tmp_path / 'second'}"


def test_without_activation_nothing_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    assert adopt_systemd("vaultd.sock") is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "vaultd.sock", "LISTEN_PID": "1"}, "none"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "vaultd.sock", "LISTEN_PID": "x"}, "none"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "unlock.sock"}, "none"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "vaultd.sock "}, "none"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "vaultd.sock:vaultd.sock"}, "more than one"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "vaultd.sock:other"}, "do not agree"),
        ({"LISTEN_FDS": "0", "LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDS": "-1", "LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDS": "1x", "LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDS": "\u0661", "LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDNAMES": "vaultd.sock"}, "do not agree"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:vaultd.sock"}, "not a listening stream unix socket"),
    ],
)
def test_only_a_complete_and_fitting_environment_is_believed(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    with unix(tmp_path, "public") as public:
        assert said in activate([public], **environment)


@pytest.mark.parametrize("wrong", ["not listening", "datagram", "tcp", "file"])
def test_only_a_listening_stream_unix_socket_is_adopted(tmp_path: Path, wrong: str) -> None:
    made: dict[str, Callable[[], socket.socket | BinaryIO]] = {
        "not listening": lambda: unix(tmp_path, "s", listening=False),
        "datagram": lambda: unix(tmp_path, "s", socket.SOCK_DGRAM, listening=False),
        "tcp": lambda: socket.create_server(("127.0.0.1", 0)),
        "file": lambda: (tmp_path / "file").open("wb"),
    }
    with made[wrong]() as passed:
        said = activate([passed], LISTEN_FDS="1", LISTEN_FDNAMES="vaultd.sock")
    assert "ConfigInvalidError" in said
    assert "not a listening stream unix socket" in said
