"""What a user would pick instead: each returns one secret of 64 characters, from where it keeps it, on every call.

Each peer is a function that gets an empty directory and returns the call. One that is not installed raises
`Missing` with what installs it; the table says so.
"""

import atexit
import importlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SECRET = secrets.token_hex(32)
_PASSWORD = "benchmark password"
Call = Callable[[], object]


class Missing(Exception):  # noqa: N818  it is no error
    """A peer is not installed here."""


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Missing("pip install -e '.[bench]'") from None


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Missing(f"apt-get install {package}")
    return found


def _background(command: Sequence[str], given: bytes = b"", **options: Any) -> "subprocess.Popen[bytes]":
    """Starts what runs until this process ends."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
    atexit.register(process.kill)
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    return process


def plain_file(home: Path) -> Call:
    """A 0600 file: what people have today."""
    path = home / "config.json"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path.read_text


def gnome_keyring(home: Path) -> Call:
    """gnome-keyring, unlocked, through secretstorage over the session bus."""
    secretstorage = _module("secretstorage")
    daemon, bus = _program("gnome-keyring-daemon", "gnome-keyring"), _program("dbus-daemon", "dbus")
    dbus = _background([bus, "--session", "--print-address=1", "--nofork"])
    assert dbus.stdout is not None
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = dbus.stdout.readline().decode().strip()
    environment = {**os.environ, "XDG_DATA_HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    keyring = _background(
        [daemon, "--unlock", "--components=secrets", "--foreground"], _PASSWORD.encode(), env=environment
    )
    assert keyring.stdout is not None
    keyring.stdout.readline()  # It says where its socket is once it serves.
    connection = secretstorage.dbus_init()
    collection = secretstorage.get_default_collection(connection)
    attributes = {"vaultd-benchmark": "1"}
    collection.create_item("benchmark", attributes, SECRET.encode(), replace=True)

    def get() -> object:
        return next(iter(collection.search_items(attributes))).get_secret()

    assert get() == SECRET.encode()
    return get


def gpg_agent_pass(home: Path) -> Call:
    """pass, with the key in gpg-agent."""
    program = _program("pass", "pass")
    gnupg = home / "gnupg"
    gnupg.mkdir(mode=0o700)
    environment = {**os.environ, "GNUPGHOME": str(gnupg), "PASSWORD_STORE_DIR": str(home / "store")}
    make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "benchmark", "default", "default", "never"]
    for command, given in ((make, b""), ([program, "init", "benchmark"], b""), ([program, "insert", "-m", "x"], SECRET.encode())):
        subprocess.run(command, env=environment, input=given, check=True, capture_output=True)

    def get() -> object:
        return subprocess.run([program, "show", "x"], env=environment, check=True, capture_output=True).stdout

    assert get() == SECRET.encode()
    return get


def pykeepass_open(home: Path) -> Call:
    """pykeepass, opening the file on each read, as a bot does that starts."""
    pykeepass = _module("pykeepass")
    path = str(home / "keys.kdbx")
    made = pykeepass.create_database(path, password=_PASSWORD)
    made.add_entry(made.root_group, "x", "user", SECRET)
    made.save()

    def get() -> object:
        return pykeepass.PyKeePass(path, password=_PASSWORD).find_entries(title="x", first=True).password

    assert get() == SECRET
    return get


def cryptfile(home: Path) -> Call:
    """keyrings.cryptfile: Argon2 and AES on each read."""
    module = _module("keyrings.cryptfile.cryptfile")
    keyring = module.CryptFileKeyring()
    keyring.file_path = str(home / "keyring.cfg")
    keyring.keyring_key = _PASSWORD
    keyring.set_password("benchmark", "x", SECRET)
    assert keyring.get_password("benchmark", "x") == SECRET
    return lambda: keyring.get_password("benchmark", "x")


def age(home: Path) -> Call:
    """age with an X25519 identity file, as a program."""
    program, keygen = _program("age", "age"), _program("age-keygen", "age")
    identity, path = home / "identity", home / "secret.age"
    subprocess.run([keygen, "-o", identity], check=True, capture_output=True)
    recipient = subprocess.run([keygen, "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([program, "-r", recipient, "-o", path], input=SECRET.encode(), check=True)

    def get() -> object:
        return subprocess.run([program, "-d", "-i", identity, path], check=True, capture_output=True).stdout

    assert get() == SECRET.encode()
    return get


def ansible_vault(home: Path) -> Call:
    """ansible-vault's library: PBKDF2 and AES on each read, as in a playbook that starts."""
    os.environ.setdefault("ANSIBLE_LOCAL_TEMP", str(home))
    vault = _module("ansible.parsing.vault")
    password = vault.VaultSecret(_PASSWORD.encode())
    library = vault.VaultLib([("default", password)])
    sealed = library.encrypt(SECRET.encode(), password)
    assert library.decrypt(sealed) == SECRET.encode()
    derived = vault.VaultAES256._gen_key_initctr.__func__  # kept by the library for the life of its process

    def get() -> object:
        derived.cache_clear()
        return library.decrypt(sealed)

    return get


def hummingbot_keystore(home: Path) -> Call:
    """The keystore format of Hummingbot's connector files: eth-keyfile with scrypt."""
    keyfile = _module("eth_keyfile")
    sealed = keyfile.create_keyfile_json(bytes.fromhex(SECRET), _PASSWORD.encode())
    assert keyfile.decode_keyfile_json(sealed, _PASSWORD.encode()) == bytes.fromhex(SECRET)
    return lambda: keyfile.decode_keyfile_json(sealed, _PASSWORD.encode())


PEERS: dict[str, Callable[[Path], Call]] = {
    "plain 0600 file": plain_file,
    "gnome-keyring, secretstorage": gnome_keyring,
    "pass, gpg-agent": gpg_agent_pass,
    "pykeepass, open and read": pykeepass_open,
    "keyrings.cryptfile": cryptfile,
    "age, program": age,
    "ansible-vault, library": ansible_vault,
    "Hummingbot keystore": hummingbot_keystore,
}
"""Name in the table to what makes the call."""
