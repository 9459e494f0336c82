"""A secret comes in without being shown, and the process that holds it leaves no core."""

import hashlib
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.person import at_a_terminal
from vaultd_client.cli import prompts
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.secrets_in import line_from, machine_key_from, wiped

CANARY = "canary-passphrase-9e21"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI-canary\n-----END PRIVATE KEY-----\n"


def script(body: str) -> list[str]:
    return ["-c", f"from vaultd_client.cli import prompts\n{body}"]


# --- the terminal -----------------------------------------------------------------------------------------------------


def test_a_secret_is_not_echoed_and_what_may_be_seen_is() -> None:
    body = "name = prompts.ask('Name'); secret = prompts.secret('Passphrase'); print('got', name, len(secret))"
    with at_a_terminal(script(body)) as person:
        person.answer("Name: ", "visible-name")
        person.answer("Passphrase: ", CANARY)
        person.expect(f"got visible-name {len(CANARY)}")
        assert person.leave() == 0
        assert person.shown.count("visible-name") == 2  # typed, and printed
        assert CANARY not in person.shown


def test_what_is_typed_ahead_is_not_taken_for_the_secret() -> None:
    body = "input('Ready? '); print('got', bytes(prompts.secret('Passphrase')))"
    with at_a_terminal(script(body)) as person:
        person.expect("Ready? ")
        person.type("yes\ntyped-too-early")
        person.answer("Passphrase: ", CANARY)
        person.expect(f"got b'{CANARY}'")


def test_echo_is_on_again_after_a_secret_and_after_ctrl_c() -> None:
    for typed, end in ((CANARY, "\n"), (CANARY, "\x03")):
        with at_a_terminal(script("prompts.secret('Passphrase')")) as person:
            person.expect("Passphrase: ")
            assert not termios.tcgetattr(person.terminal)[3] & termios.ECHO
            person.type(typed, end)
            person.process.wait(30)
            assert termios.tcgetattr(person.terminal)[3] & termios.ECHO
            person.leave()
            assert CANARY not in person.shown


def test_a_pem_block_of_many_lines_is_one_secret() -> None:
    body = "s = prompts.secret('Secret'); import hashlib; print('sha', hashlib.sha256(s).hexdigest())"
    with at_a_terminal(script(body)) as person:
        person.expect("Secret: ")
        person.type(PEM, end="")
        person.expect("sha " + hashlib.sha256(PEM.encode()).hexdigest())
        assert person.leave() == 0
        assert "canary" not in person.shown


def test_a_line_longer_than_a_terminal_takes_is_refused_and_not_cut() -> None:
    body = "from vaultd_client.cli.failure import Failure\ntry: prompts.secret('S')\nexcept Failure as f: print(f.text)"
    with at_a_terminal(script(body)) as person:
        person.expect("S: ")
        person.type("x" * 5000)
        person.expect("too long for a terminal")


def test_a_new_secret_is_asked_again_until_it_is_good_and_typed_twice_alike() -> None:
    body = (
        "s = prompts.new_secret('New', 'Again', lambda t: 'Too short' if len(t) < 8 else '', instead='--x-fd')\n"
        "print('length', len(s))"
    )
    with at_a_terminal(script(body)) as person:
        person.answer("New: ", "short")
        person.answer("Too short. New: ", CANARY)
        person.answer("Again: ", "something else")
        person.answer("The two differ. New: ", CANARY)
        person.answer("Again: ", CANARY)
        person.expect(f"length {len(CANARY)}")


def test_three_tries_that_differ_end_it() -> None:
    body = (
        "from vaultd_client.cli.failure import Failure\n"
        "try: prompts.new_secret('New', 'Again', lambda t: '', instead='--x-fd')\n"
        "except Failure as f: print('failed:', f.text)"
    )
    with at_a_terminal(script(body)) as person:
        for _ in range(3):
            person.answer("New: ", "one-thing")
            person.answer("Again: ", "another")
        person.expect("failed: no new passphrase was set")


def test_without_a_terminal_the_hint_names_the_option() -> None:
    body = (
        "import sys\nfrom vaultd_client.cli import prompts\nfrom vaultd_client.cli.failure import Failure\n"
        "try: prompts.secret('Passphrase')\nexcept Failure as f: print(f.text, '|', f.hint)"
    )
    command = [sys.executable, "-c", body]
    done = subprocess.run(command, start_new_session=True, capture_output=True, text=True, check=True)
    assert done.stdout == "there is no terminal to ask on | use --passphrase-fd, or run it on a terminal\n"


@pytest.mark.parametrize(("typed", "meant"), [("y", True), ("YES", True), ("n", False), ("", False), ("yep", False)])
def test_only_yes_affirms(typed: str, meant: bool) -> None:
    with at_a_terminal(script("print('meant', prompts.confirm('Sure?'))")) as person:
        person.answer("Sure? [y/N]: ", typed)
        person.expect(f"meant {meant}")


def test_prompts_show_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_a_terminal(script(r"prompts.ask('Type a\x1b[2Jb')")) as person:
        person.answer(r"Type a\x1b[2Jb: ", "x")
        assert person.leave() == 0


# --- descriptors ------------------------------------------------------------------------------------------------------


@contextmanager
def pipe(content: bytes) -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nmore"])
def test_a_secret_is_the_first_line_of_a_descriptor(content: bytes) -> None:
    with pipe(content) as descriptor:
        assert line_from("--passphrase-fd", descriptor) == b"secret"


def test_several_secrets_may_come_over_one_descriptor() -> None:
    with pipe(b"old\nnew\n") as descriptor:
        assert line_from("--passphrase-fd", descriptor) == b"old"
        assert line_from("--new-passphrase-fd", descriptor) == b"new"


def test_spaces_belong_to_a_secret() -> None:
    with pipe(b"  two words \n") as descriptor:
        assert line_from("--passphrase-fd", descriptor) == b"  two words "


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000])
def test_an_empty_or_endless_secret_is_refused(content: bytes) -> None:
    with pipe(content) as descriptor, pytest.raises(Failure, match="--passphrase-fd"):
        line_from("--passphrase-fd", descriptor)


def test_a_closed_descriptor_is_named() -> None:
    with pytest.raises(Failure, match="file descriptor 987 is not open"):
        line_from("--passphrase-fd", 987)


def test_a_terminal_is_refused_as_a_descriptor() -> None:
    primary, replica = os.openpty()
    try:
        with pytest.raises(Failure, match="is a terminal, which would show the secret"):
            line_from("--passphrase-fd", replica)
    finally:
        os.close(primary)
        os.close(replica)


@pytest.mark.parametrize("content", [bytes(range(32)), bytes(range(32)).hex().encode() + b"\n"])
def test_a_machine_key_is_raw_or_hexadecimal(content: bytes) -> None:
    with pipe(content) as descriptor:
        assert machine_key_from("--key-fd", descriptor) == bytes(range(32))


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), b"zz" * 32, b"00" * 31])
def test_another_machine_key_is_refused(content: bytes) -> None:
    with pipe(content) as descriptor, pytest.raises(Failure, match="32 bytes, or 64 hexadecimal digits"):
        machine_key_from("--key-fd", descriptor)


def test_a_secret_is_wiped_after_use_even_where_it_fails() -> None:
    secret = bytearray(b"secret")
    with pytest.raises(ValueError, match="on purpose"), wiped(secret):
        raise ValueError("on purpose")
    assert secret == bytes(6)


# --- the process ------------------------------------------------------------------------------------------------------


def test_vaultctl_is_undumpable_and_has_no_core_before_it_does_anything() -> None:
    body = (
        "import ctypes, resource\n"
        "from vaultd_client.cli import main\n"
        "def dumpable(): return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "before = dumpable()\n"
        "main.run = lambda arguments: print(before, dumpable(), resource.getrlimit(resource.RLIMIT_CORE)) or 0\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    assert done.stdout == "1 0 (0, 0)\n"


def test_reveal_to_a_terminal_is_refused_before_anything_is_asked_for(tmp_path: Path) -> None:
    environment = {**os.environ, "VAULTD_RUNTIME_DIR": str(tmp_path)}
    command = ["-m", "vaultd_client.cli", "reveal", "main", "--configuration", "read"]
    with at_a_terminal(command, environment) as person:
        person.expect("stdout is a terminal, where plaintext would stay")
        assert person.leave() == 2
    with at_a_terminal(command, environment, piped=True) as person:
        person.expect("no socket at")
        assert person.leave() == 3
    with at_a_terminal([*command, "--show"], environment) as person:
        person.expect("no socket at")
        assert person.leave() == 3


def test_ctrl_c_at_a_prompt_ends_quietly_with_130(tmp_path: Path) -> None:
    environment = {**os.environ, "VAULTD_RUNTIME_DIR": str(tmp_path)}
    with at_a_terminal(["-m", "vaultd_client.cli", "exchange", "revoke", "main"], environment) as person:
        person.expect("Revoke main for good? [y/N]: ")
        person.type("", end="\x03")
        assert person.leave() == 130
        assert "Traceback" not in person.shown


def test_ctrl_d_at_a_prompt_ends_quietly_with_130(tmp_path: Path) -> None:
    environment = {**os.environ, "VAULTD_RUNTIME_DIR": str(tmp_path)}
    with at_a_terminal(["-m", "vaultd_client.cli", "exchange", "revoke", "main"], environment) as person:
        person.expect("Revoke main for good? [y/N]: ")
        person.type("", end="\x04")
        assert person.leave() == 130


def test_tries_are_three() -> None:
    assert prompts.TRIES == 3
