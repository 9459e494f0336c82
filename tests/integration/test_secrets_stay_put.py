"""Promise: a secret is in the keyholder's secret memory and in the client that asked for it, and nowhere else.

Canaries go the way of every secret: as passphrase, wrong passphrase, recovery code, api key, secret, next version,
private keys in PEM, which the keyholder parses, one that is refused. Then everything that another could read is
searched for them: memory, arguments and environment of both processes, log, database, write-ahead log, anchor, audit. The controls show that the search finds what is there.
"""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.daemon import CHEAP, Daemon, new_daemon
from tests.support.gate_house import as_root
from tests.support.memory import (
    SECRET_MAPPING,
    canary,
    forms,
    scan_arguments,
    scan_bytes,
    scan_files,
    scan_memory,
)
from vaultd_client import ClientKey, VaultClient
from vaultd_client.errors import UnlockError, VaultClientError

NAMES = ("passphrase", "wrong passphrase", "new passphrase", "api key", "secret", "write secret", "next secret", "refused")

MOMENTS = ("as it was made", "after reveals", "after an unlock")


@dataclass(frozen=True)
class Scene:
    """A daemon through which the canaries went; `bot` may reveal both halves of `main`."""

    daemon: Daemon
    bot: ClientKey
    canaries: dict[str, bytes]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    words = {name: canary() for name in NAMES}
    recovery = os.urandom(20)
    key = ClientKey.generate()
    with new_daemon() as daemon:
        daemon.start()
        with daemon.unlocker() as unlocker:
            pin = unlocker.initialize(
                bytearray(words["passphrase"], "ascii"),
                bytearray(recovery),
                name="admin",
                public_key=key.public_key,
                uid=os.getuid(),
                kdf=CHEAP,
            )
        key.with_pin(pin).save(daemon.home / "admin.key")
        bot = ClientKey.generate().with_pin(pin)
        with daemon.admin() as admin:
            read = {"api_key": words["api key"], "secret": words["secret"]}
            write = {"api_key": canary(), "secret": words["write secret"]}
            admin.create_exchange("main", "binance", {"read": read, "write": write})
            with pytest.raises(VaultClientError):  # the way of an error: a field that binance does not have
                admin.create_exchange("bad", "binance", {"read": read | {"login": words["refused"]}})
            keys = private_keys(admin)
            admin.allow_client("bot", bot.public_key, os.getuid())
            admin.create_grant("bot", "main", "*")
        rotate(daemon, words["next secret"])
        with daemon.unlocker() as unlocker:
            old, new, wrong = (bytearray(words[f"{each}passphrase"], "ascii") for each in ("", "new ", "wrong "))
            with pytest.raises(UnlockError):
                unlocker.passphrase_change(wrong, new)
            unlocker.passphrase_change(old, new)
        canaries = {name: word.encode() for name, word in words.items()} | {"recovery code": recovery} | keys
        yield Scene(daemon, bot, canaries)


def private_keys(admin: VaultClient) -> dict[str, bytes]:
    """Stores keys in PEM, offers one that is refused, and returns what is secret of them: raw and as base64 lines."""
    keys: dict[str, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {
        "binance": ed25519.Ed25519PrivateKey.generate(),
        "coinbase": ec.generate_private_key(ec.SECP256R1()),
        "bybit": rsa.generate_private_key(65537, 2048),
        "okx": ed25519.Ed25519PrivateKey.generate(),
    }
    found: dict[str, bytes] = {}
    for kind, key in keys.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        pair = {"api_key": canary(), "secret": pem.replace("\n", "\r\n")}
        if kind == "okx":
            with pytest.raises(VaultClientError):
                admin.create_exchange(kind, "coinbase", {"read": pair})
        else:
            admin.create_exchange(kind, kind, {"read": pair})
        found[f"PEM of {kind}"] = pem.splitlines()[2 if kind == "bybit" else 1][-40:].encode()
        if isinstance(key, ed25519.Ed25519PrivateKey):
            found[f"seed of {kind}"] = key.private_bytes_raw()
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            found |= numbers(f"scalar of {kind}", key.private_numbers().private_value, 32)
        else:
            found |= numbers(f"prime of {kind}", key.private_numbers().p, 128)
    return found


def numbers(name: str, number: int, size: int) -> dict[str, bytes]:
    """Returns a number as DER has it and, in the order of its words, as OpenSSL calculates with it."""
    return {f"{name}, {order}-endian": number.to_bytes(size, order)[:40] for order in ("big", "little")}


def come_to(scene: Scene, when: str) -> None:
    """Brings the daemon to the moment to look at: as it was made, after reveals, or after a lock and an unlock."""
    if when == "after reveals":
        reveal_often(scene)
    if when == "after an unlock":
        scene.daemon.lock()
        for name in ("wrong passphrase", "passphrase"):
            with pytest.raises(UnlockError):
                scene.daemon.unlock(scene.canaries[name])
        scene.daemon.unlock(scene.canaries["recovery code"], kind="recovery")
        scene.daemon.lock()
        scene.daemon.unlock(scene.canaries["new passphrase"])
        rotate(scene.daemon, scene.canaries["next secret"].decode())
        reveal_often(scene)


def rotate(daemon: Daemon, secret: str) -> None:
    with daemon.admin() as admin:
        admin.rotate_credential("main", "write", {"api_key": canary(), "secret": secret})


def reveal_often(scene: Scene) -> None:
    with scene.daemon.client(scene.bot) as bot:
        for _ in range(25):
            assert bot.reveal("main", "read").secret == scene.canaries["secret"].decode()
            assert bot.reveal("main", "write").secret == scene.canaries["next secret"].decode()


# --- memory --------------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("when", MOMENTS)
def test_no_secret_is_in_memory_that_root_can_read(scene: Scene, when: str) -> None:
    come_to(scene, when)
    keyholder = scan_memory(scene.daemon.keyholder_pid, scene.canaries)
    assert keyholder.hits == ()
    assert keyholder.unreadable <= {SECRET_MAPPING}  # where the kernel has memfd_secret, not even root reads it
    assert keyholder.scanned > 10_000_000
    server = scan_memory(scene.daemon.pid, scene.canaries)
    assert server.hits == ()
    assert server.unreadable == frozenset()
    assert server.scanned > 20_000_000


@as_root
def test_the_search_finds_what_the_server_does_hold(scene: Scene) -> None:
    masked = scene.canaries["api key"][:4] + "…".encode() + scene.canaries["api key"][-4:]
    with scene.daemon.client() as anyone:
        anyone.get("main")
    names = {hit.secret for hit in scan_memory(scene.daemon.pid, {"mask": masked, "database": b"data/vault.db-wal"}).hits}
    assert names == {"mask", "database"}


BOT = """
import sys
from vaultd_client import VaultClient
with VaultClient(sys.argv[1], sys.argv[2]) as client:
    held = [client.reveal("main", "read"), client.reveal("main", "write")]
    print("ready", flush=True)
    input()
"""


@as_root
def test_the_search_finds_the_secret_in_the_client_that_asked_for_it(scene: Scene, tmp_path: Path) -> None:
    scene.bot.save(tmp_path / "bot.key")
    command = [sys.executable, "-c", BOT, str(scene.daemon.runtime / "vaultd.sock"), str(tmp_path / "bot.key")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline() == b"ready\n"
        found = {hit.secret for hit in scan_memory(bot.pid, scene.canaries).hits}
        bot.communicate(b"\n")
    assert {"api key", "secret", "next secret"} <= found
    assert found.isdisjoint({"passphrase", "new passphrase", "recovery code", "write secret"})


# Each form is made in the process itself, from a canary that reaches it reversed: none is there before it is made.
PLANT = """
import base64, sys
word = sys.stdin.readline().strip()[::-1]
made = {
    "plain": lambda: bytearray(word.encode()),
    "utf-16-le": lambda: bytearray(word.encode("utf-16-le")),
    "utf-16-be": lambda: bytearray(word.encode("utf-16-be")),
    "utf-32-le": lambda: bytearray(word.encode("utf-32-le")),
    "hex": lambda: bytearray(word.encode().hex().encode()),
    "HEX": lambda: bytearray(word.encode().hex().upper().encode()),
    "base64+0": lambda: bytearray(base64.b64encode(word.encode() + b"tail")),
    "base64+1": lambda: bytearray(base64.b64encode(b"h" + word.encode() + b"tail")),
    "base64+2": lambda: bytearray(base64.b64encode(b"he" + word.encode() + b"tail")),
    "first half": lambda: bytearray(word[: len(word) // 2].encode() + b"?" * 20),
    "second half": lambda: bytearray(b"?" * 20 + word[len(word) // 2 :].encode()),
}[sys.argv[1]]()
print("ready", flush=True)
sys.stdin.readline()
"""


@as_root
@pytest.mark.parametrize("form", sorted(set(forms(canary().encode())) - {f"base64url+{shift}" for shift in range(3)}))
def test_the_search_finds_a_canary_planted_in_any_form(form: str) -> None:
    word = canary()
    command = [sys.executable, "-I", "-c", PLANT, form]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as control:
        assert control.stdin is not None
        assert control.stdout is not None
        control.stdin.write(word[::-1].encode() + b"\n")
        control.stdin.flush()
        assert control.stdout.readline() == b"ready\n"
        found = {hit.form for hit in scan_memory(control.pid, {"planted": word.encode()}).hits}
        control.communicate(b"\n")
    assert form in found


# --- everything else -----------------------------------------------------------------------------------------------


def test_no_secret_is_in_a_file_of_the_vault(scene: Scene) -> None:
    reveal_often(scene)
    daemon = scene.daemon
    assert scan_files(daemon.home, scene.canaries) == []
    written = {"store": b"RotateCredential", "log": b"vaultd: unlocked"}
    where = {(hit.secret, Path(hit.where).name) for hit in scan_files(daemon.home, written)}
    assert ("log", "log") in where  # the control: it did read the log and the store
    assert where & {("store", "vault.db"), ("store", "vault.db-wal")}


def test_no_secret_is_in_the_store_at_rest(scene: Scene, tmp_path: Path) -> None:
    store = shutil.copytree(scene.daemon.data, tmp_path / "data")
    assert scan_files(store, scene.canaries) == []
    (store / "leak").write_bytes(b"..." + base64.b64encode(b"x" + scene.canaries["secret"]) + b"...")
    assert {(hit.secret, Path(hit.where).name) for hit in scan_files(store, scene.canaries)} == {("secret", "leak")}


def test_no_secret_is_in_the_audit(scene: Scene) -> None:
    come_to(scene, "after an unlock")
    with scene.daemon.admin() as admin:
        entries = admin.audit(limit=1_000)
    text = repr(entries).encode()
    assert scan_bytes(text, scene.canaries) == []
    assert {"initialize", "unlock", "passphrase-change", "CreateExchange", "RotateCredential", "RevealCredential"} <= {
        entry.method for entry in entries
    }


def test_no_secret_is_in_what_strangers_see(scene: Scene) -> None:
    with scene.daemon.client() as stranger:
        text = repr((stranger.vault(), stranger.list(), stranger.get("main"))).encode()
    assert scan_bytes(text, scene.canaries) == []
    assert scene.canaries["api key"][:4] in text  # the mask
    assert scan_bytes(text + scene.canaries["secret"], scene.canaries) != []


@as_root
def test_no_secret_is_in_arguments_or_environment(scene: Scene) -> None:
    for pid in (scene.daemon.pid, scene.daemon.keyholder_pid):
        assert scan_arguments(pid, scene.canaries) == []
        assert scan_arguments(pid, {"name": b"vaultd"}) != []
    environment = Path(f"/proc/{scene.daemon.keyholder_pid}/environ").read_bytes()
    # Made from nothing, not inherited; and nothing is imported from the working directory, which is home here.
    assert str(scene.daemon.home).encode() not in environment
    assert str(scene.daemon.home).encode() in Path(f"/proc/{scene.daemon.pid}/environ").read_bytes()


def test_a_daemon_that_stops_leaves_no_secret_behind(scene: Scene) -> None:
    scene.daemon.stop()
    try:
        assert scan_files(scene.daemon.home, scene.canaries) == []
        assert scan_files(scene.daemon.home, {"database": b"CREATE TABLE"}) != []
    finally:
        scene.daemon.start()
        scene.daemon.unlock(scene.canaries["new passphrase"])
