"""`vaultctl render`: the values, and no file that others may read."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.gate_house import as_root
from tests.support.processes import NOBODY
from tests.support.vaultctl import MODULE, document, environment, person_at, vaultctl

TEMPLATE = '{"api_key": "vaultd://binance-main/read/api_key", "secret": {{ vaultd://binance-main/read/secret }}}\n'
EXPECTED = {"api_key": READ_PAIR["api_key"], "secret": READ_PAIR["secret"]}


@pytest.fixture
def template(tmp_path: Path) -> str:
    """A template with two references."""
    path = tmp_path / "config.json.tmpl"
    path.write_text(TEMPLATE)
    return str(path)


def test_a_template_gets_its_values(shared: Daemon, bot_key: Path, template: str) -> None:
    done = vaultctl(shared, "render", template, key=bot_key)
    assert json.loads(done.stdout) == EXPECTED
    assert done.stdout.endswith("}\n")
    piped = vaultctl(shared, "render", "-", "--format", "raw", given="k=vaultd://binance-main/read/api_key", key=bot_key)
    assert piped.stdout == f"k={READ_PAIR['api_key']}"


def test_each_half_is_revealed_once(shared: Daemon, bot_key: Path, template: str) -> None:
    with shared.admin() as admin:
        before = admin.audit(limit=1)[0].sequence
    vaultctl(shared, "render", template, key=bot_key)
    with shared.admin() as admin:
        revealed = [each for each in admin.audit(limit=10, client="run-bot") if each.sequence > before]
    assert [each.method for each in revealed] == ["RevealCredential"]


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_the_file_is_readable_by_its_owner_alone(
    shared: Daemon, bot_key: Path, template: str, tmp_path: Path, umask: str
) -> None:
    out = tmp_path / "out.json"
    line = f'umask {umask}; exec "$@"'
    command = ["sh", "-c", line, "sh", sys.executable, *MODULE, "render", template, "--output", str(out)]
    for _ in range(2):  # the second replaces it
        subprocess.run(command, env=environment(shared, bot_key), check=True, capture_output=True)
        assert json.loads(out.read_text()) == EXPECTED
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["config.json.tmpl", "out.json"]


def test_a_file_on_a_disk_is_warned_of_and_one_in_memory_is_not(
    shared: Daemon, bot_key: Path, template: str, tmp_path: Path
) -> None:
    in_memory = Path(f"/dev/shm/vaultd-test-{os.getpid()}.json")
    try:
        quiet = vaultctl(shared, "render", template, "--output", str(in_memory), key=bot_key)
        assert (quiet.returncode, "warning" in quiet.stderr) == (0, False)
    finally:
        in_memory.unlink()
    loud = vaultctl(shared, "render", template, "--output", str(tmp_path / "out"), key=bot_key)
    assert "is on a disk, and stays there" in loud.stderr
    told = document(shared, "render", template, "--output", str(tmp_path / "out"), key=bot_key)
    assert told == {"output": str(tmp_path / "out"), "references": 2}


def leaky(path: Path) -> None:
    path.write_text("before")
    path.chmod(0o640)


def linked(path: Path) -> None:
    (path.parent / "elsewhere").write_text("before")
    (path.parent / "elsewhere").chmod(0o600)
    path.symlink_to(path.parent / "elsewhere")


def shared_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def foreign(path: Path) -> None:
    path.write_text("before")
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("prepare", "word"),
    [
        (leaky, "may be read or changed by others (0640)"),
        (linked, "is there and is no file"),
        (shared_directory, "is a directory that others may change"),
        pytest.param(foreign, "belongs to uid 65534", marks=as_root),
        (lambda path: path.mkdir(), "is there and is no file"),
        (lambda path: path.parent.rmdir(), "cannot be used"),
    ],
    ids=["group may read", "link", "shared directory", "another owner", "directory", "no directory"],
)
def test_a_file_that_others_could_read_or_change_is_refused_before_anything_is_revealed(
    shared: Daemon, bot_key: Path, template: str, tmp_path: Path, prepare: object, word: str
) -> None:
    out = tmp_path / "below" / "out.json"
    out.parent.mkdir()
    prepare(out)  # type: ignore[operator]
    with shared.admin() as admin:
        before = admin.audit(limit=1)[0].sequence
    done = vaultctl(shared, "render", template, "-o", str(out), key=bot_key)
    assert done.returncode == 7
    assert word in done.stderr
    assert "hint: " in done.stderr
    with shared.admin() as admin:
        assert [each.method for each in admin.audit(limit=5, client="run-bot") if each.sequence > before] == []
    assert not out.exists() or out.is_dir() or out.read_text() == "before"


def test_a_shells_own_file_that_others_may_read_is_refused(
    shared: Daemon, bot_key: Path, template: str, tmp_path: Path
) -> None:
    for umask, code, size in ((0o022, 7, 0), (0o077, 0, len(json.dumps(EXPECTED)) + 1)):
        out = tmp_path / f"out-{umask}"
        with open(os.open(out, os.O_CREAT | os.O_WRONLY, 0o666 & ~umask), "wb") as file:
            done = subprocess.run(
                [sys.executable, *MODULE, "render", template], env=environment(shared, bot_key), stdout=file, check=False
            )
        assert (done.returncode, out.stat().st_size) == (code, size)


def test_a_terminal_is_refused_unless_asked_for(shared: Daemon, bot_key: Path, template: str) -> None:
    with person_at(shared, "render", template, key=bot_key) as person:
        person.expect("stdout is a terminal, where plaintext would stay")
        assert person.leave() == 2
        assert READ_PAIR["secret"] not in person.shown
    with person_at(shared, "render", template, "--show", key=bot_key) as person:
        person.expect(READ_PAIR["secret"])
        assert person.leave() == 0


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{\n  'a': vaultd://binance-main/api_key}", 7, ("t.json:2:8: this is no reference", "write it as vaultd://")),
        (
            "\n\n vaultd://binance-main/read/passphrase",
            7,
            ("t.json:3:2: binance-main:read has no passphrase", "it has api_key"),
        ),
        (" vaultd://nosuch/read/secret", 6, ("t.json:1:2: nosuch:read", "no exchange of that name is listed", "vaultctl exchange list")),
        ('"vaultd://binance-main/write/secret"', 6, ("t.json:1:2: binance-main:write", "--configuration write")),
        ("no reference at all", 0, ()),
    ],
)
def test_what_cannot_be_rendered_is_named_with_line_and_column(
    shared: Daemon, bot_key: Path, tmp_path: Path, text: str, code: int, words: tuple[str, ...]
) -> None:
    (tmp_path / "t.json").write_text(text)
    command = [sys.executable, *MODULE, "render", "t.json", "--output", "out"]
    done = subprocess.run(
        command, env=environment(shared, bot_key), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert (tmp_path / "out").exists() == (code == 0)


@pytest.mark.parametrize(
    ("content", "arguments", "word"),
    [
        (None, (), "cannot be read: No such file"),
        (b"\xff\xfe", (), "no text in UTF-8"),
        (b"x" * (1024 * 1024 + 1), (), "larger than 1 MiB"),
        (b"x", (), ""),
    ],
)
def test_a_template_that_is_none_is_refused(
    shared: Daemon, bot_key: Path, tmp_path: Path, content: bytes | None, arguments: tuple[str, ...], word: str
) -> None:
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content)
    done = vaultctl(shared, "render", str(path), *arguments, key=bot_key)
    assert (done.returncode, word in done.stderr) == (2 if word else 0, True)
    unknown = vaultctl(shared, "render", str(path.with_suffix(".toml")), key=bot_key)
    assert unknown.returncode == 2


def test_a_format_that_nobody_named_is_asked_for(shared: Daemon, bot_key: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("k = 'vaultd://binance-main/read/secret'")
    done = vaultctl(shared, "render", str(tmp_path / "config.toml"), key=bot_key)
    assert done.returncode == 2
    assert "add --format, one of json, yaml, env, raw" in done.stderr


def test_a_locked_vault_says_how_to_unlock_it_and_writes_nothing(vault: Daemon, template: str, tmp_path: Path) -> None:
    vault.add_bot().save(tmp_path / "bot.key")
    vault.lock()
    done = vaultctl(vault, "render", template, "-o", str(tmp_path / "out"), key=tmp_path / "bot.key")
    assert done.returncode == 4
    assert "hint: vaultctl unlock" in done.stderr
    assert not (tmp_path / "out").exists()
