"""A client's key stays its own: on disk, in memory, and in what a program prints."""

import copy
import json
import os
import pickle
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaultd_client.errors import InvalidError, KeyFileError
from vaultd_client.keys import ClientKey, Pin, parse_public

PIN = Pin(bytes(range(16)), bytes(range(32)))
WHOLE = b"".join([
    b"# vaultd client key, made 2026-01-31. Whoever reads it is this client.\n",
    b"# public key: vaultd-client:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n",
    b"# vault: 000102030405060708090a0b0c0d0e0f " + bytes(range(32)).hex().encode() + b"\n",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n",
    b"-----END PRIVATE KEY-----\n",
])  # fmt: skip
"""A key file as version 0.1 writes it: test 1 of RFC 8032, section 7.1, and the pin above."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vaultd" / "client.key"


@pytest.fixture
def saved(path: Path) -> Path:
    ClientKey.generate().with_pin(PIN).save(path)
    return path


def refusal(path: Path) -> KeyFileError:
    with pytest.raises(KeyFileError) as refused:
        ClientKey.load(path)
    assert refused.value.hint
    return refused.value


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | x25519.X25519PrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def test_a_saved_key_loads_as_the_same_key_with_its_pin(path: Path) -> None:
    key = ClientKey.generate().with_pin(PIN)
    key.save(path)
    loaded = ClientKey.load(path)
    assert loaded.public_key == key.public_key
    assert loaded.vault == PIN
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(loaded.sign(b"data"), b"data")


def test_a_file_of_version_0_1_loads(path: Path) -> None:
    path.parent.mkdir()
    rewrite(path, WHOLE)
    key = ClientKey.load(path)
    assert key.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.vault == PIN


def test_a_key_without_a_pin_loads_without_one(path: Path) -> None:
    ClientKey.generate().save(path)
    assert ClientKey.load(path).vault is None


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_file_is_0600_whatever_the_umask(path: Path, umask: int) -> None:
    path.parent.mkdir()
    before = os.umask(umask)
    try:
        ClientKey.generate().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_directory_is_made_0700(path: Path) -> None:
    ClientKey.generate().save(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_key_that_is_there_is_never_overwritten_by_accident(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(KeyFileError, match="exists"):
        ClientKey.generate().save(saved)
    assert saved.read_bytes() == before


def test_overwriting_on_purpose_replaces_the_key_and_leaves_nothing_behind(saved: Path) -> None:
    key = ClientKey.generate()
    key.save(saved, overwrite=True)
    assert ClientKey.load(saved).public_key == key.public_key
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("overwrite", [False, True])
def test_saving_never_follows_a_symlink(saved: Path, tmp_path: Path, overwrite: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    link = saved.with_name("link.key")
    link.symlink_to(victim)
    if overwrite:
        ClientKey.generate().save(link, overwrite=True)
        assert not link.is_symlink()
    else:
        with pytest.raises(KeyFileError):
            ClientKey.generate().save(link)
    assert victim.read_text() == "kept"


def test_a_full_disk_leaves_no_half_a_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for overwrite in (False, True):
        with pytest.raises(KeyFileError, match="No space left"):
            ClientKey.generate().save(path, overwrite=overwrite)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602])
def test_a_file_that_others_may_open_is_refused(saved: Path, mode: int) -> None:
    saved.chmod(mode)
    assert "read by other users" in refusal(saved).message
    saved.chmod(0o400)
    assert ClientKey.load(saved).vault == PIN


def test_another_users_file_is_refused_and_root_reads_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = saved.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"belongs to uid {owner}" in refusal(saved).message
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ClientKey.load(saved).vault == PIN


def test_a_missing_file_says_how_to_make_one(path: Path) -> None:
    assert refusal(path).hint == "vaultctl client keygen"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    assert "is not a file" in refusal(fifo).message
    assert "is not a file" in refusal(tmp_path).message


def test_a_file_too_large_for_a_key_is_refused(saved: Path) -> None:
    rewrite(saved, b"#" * 4000 + b"\n" + saved.read_bytes())
    assert "too large" in refusal(saved).message


BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda text: text[:-40],
    "no header": lambda text: text.replace(b"BEGIN PRIVATE KEY", b"BEGIN SECRET KEY!"),
    "text before the key": lambda text: b"hello\n" + text,
    "text after the key": lambda text: text + b"hello\n",
    "two keys": lambda text: text + pem(Ed25519PrivateKey.generate()),
    "no ASCII": lambda text: "# ü\n".encode() + text,
    "another public key": lambda text: text.replace(b"vaultd-client:", b"vaultd-client:A"),
    "another private key": lambda text: text[: text.index(b"-----")] + pem(Ed25519PrivateKey.generate()),
    "an elliptic curve key": lambda _: pem(ec.generate_private_key(ec.SECP256R1())),
    "an X25519 key": lambda _: pem(x25519.X25519PrivateKey.generate()),
    "a short pin": lambda text: text.replace(b"# vault: 00", b"# vault: "),
    "an upper-case pin": lambda text: text.replace(b"0a0b", b"0A0B"),
    "two pins": lambda text: b"# vault: " + b"00" * 16 + b" " + b"00" * 32 + b"\n" + text,
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_file_is_refused(saved: Path, name: str) -> None:
    whole = saved.read_bytes()
    broken = BREAKS[name](whole)
    assert broken != whole
    rewrite(saved, broken)
    error = refusal(saved)
    assert "is broken" in error.message
    assert error.__cause__ is None
    rewrite(saved, whole)
    assert ClientKey.load(saved).vault == PIN


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_never_raises_anything_else(saved: Path, place: int, byte: int) -> None:
    content = bytearray(WHOLE)
    content[place % len(content)] = byte
    rewrite(saved, bytes(content))
    with suppress(KeyFileError):
        assert ClientKey.load(saved).sign(b"data")


def test_neither_repr_nor_str_nor_format_shows_the_private_key() -> None:
    key = ClientKey.generate()
    raw = key.private.private_bytes_raw()
    shown = f"{key} {key!r} {key!s} {[key]} {vars(type(key))}"
    assert key.public_text in shown
    assert raw.hex() not in shown
    assert repr(raw) not in shown


@pytest.mark.parametrize("hand_out", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_key_is_not_pickled_copied_or_made_json(hand_out: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        hand_out(ClientKey.generate())


def test_a_key_never_changes() -> None:
    with pytest.raises(AttributeError):
        ClientKey.generate().vault = PIN  # type: ignore[misc]


def test_the_public_text_reads_back() -> None:
    key = ClientKey.generate()
    assert parse_public(key.public_text) == key.public_key
    assert parse_public(f" {key.public_text}\n") == key.public_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vaultd-client:",
        "vaultd-client:" + "A" * 42,
        "vaultd-client:" + "A" * 44,
        "A" * 43,
        "vaultd-client:" + "A" * 42 + "B",
        "vaultd-client:" + "A" * 42 + "+",
        "vaultd-client:" + "A" * 42 + "é",
        "vaultd-client:" + "A" * 43 + "=",
    ],
)
def test_any_other_text_is_no_public_key(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse_public(text)
    assert list(refused.value.fields) == ["public_key"]


@settings(deadline=None)
@given(st.text())
def test_random_text_is_refused_or_reads_back(text: str) -> None:
    try:
        assert parse_public(text)
    except InvalidError:
        return


def test_a_fingerprint_is_written_as_openssh_writes_them() -> None:
    # printf 000102...1f | xxd -r -p | openssl dgst -sha256 -binary | base64
    assert PIN.fingerprint == "SHA256:Yw3NKWbEM2aRElRIu7JbT/QSpJxzLbLIq8G4WBvXEN0"


@pytest.mark.parametrize(("vault_id", "identity"), [(15, 32), (16, 31), (0, 0), (17, 32)])
def test_a_pin_has_exact_lengths(vault_id: int, identity: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Pin(bytes(vault_id), bytes(identity))
