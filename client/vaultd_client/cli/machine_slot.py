"""The machine slot: a random key that this host alone can open again, for an unattended start.

Threat: who reads the key opens the vault. Measure: systemd seals it to this host's key, and to its TPM where it has one,
under a name that is sealed in; it never touches the disk in clear. `systemd-creds` seals with a null key where it is told
`tpm2-absent` or finds nothing (`auto`), so the kind of key is always named. Limit: root on this host opens it at any time;
without a TPM, so does who has a copy of the whole disk, for the host's key is on it too.
"""

import hmac
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaultd_client.cli import units
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.secrets_in import opened, wipe, wiped
from vaultd_client.cli.slot_secrets import MACHINE_KEY_BYTES
from vaultd_client.unattended import CREDENTIAL, FILE, NAME, UNIT


def require() -> None:
    """Raises Failure where no machine slot can be made, before a person has typed anything."""
    if os.geteuid() != 0:
        hint = "sudo vaultctl slot add --machine; without systemd: --kind machine --new-key-file PATH"
        raise Failure("it is sealed to this host, which needs root", hint, code=ExitCode.REFUSED, reason="needs_root")
    if not FILE.exists():
        raise Failure("vaultd is no service of this host", "vaultctl system install", code=ExitCode.NOT_FOUND)
    if CREDENTIAL.exists():
        hint = f"vaultctl slot list and slot remove take its slot away; then: rm {CREDENTIAL}"
        raise Failure(f"there is a machine slot already: {CREDENTIAL}", hint, code=ExitCode.CONFLICT, reason="exists")


@contextmanager
def new_key() -> Iterator[tuple[bytearray, str]]:
    """Yields a fresh key that is sealed already, and what it is sealed to; wiped when the body ends.

    The sealed key is put in its place when the body ends well, and the unit that uses it is enabled.
    """
    kind = "host+tpm2" if _succeeds("systemd-creds", "has-tpm2", "--quiet") else "host"
    CREDENTIAL.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = CREDENTIAL.with_name(f".{NAME}.new")
    fresh.unlink(missing_ok=True)
    key = bytearray(secrets.token_bytes(MACHINE_KEY_BYTES))
    with wiped(key):
        try:
            _seal(key, kind, fresh)
            _try(key, fresh)
            yield key, kind
            fresh.rename(CREDENTIAL)
        finally:
            fresh.unlink(missing_ok=True)
    units.run("systemctl", "enable", UNIT)


@contextmanager
def credential(name: str) -> Iterator[int]:
    """Opens a credential that systemd has given to this service (systemd.exec(5), LoadCredential=).

    Raises:
        Failure: There is none of that name.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise Failure("--credential: systemd has given this process no credentials", "for services: LoadCredentialEncrypted=")
    if "/" in name or name in {"", ".", ".."}:
        raise Failure(f"--credential: {name!r} is no name of a credential", "name it as LoadCredential= does")
    with opened("--credential", Path(directory) / name) as descriptor:
        yield descriptor


def _seal(key: bytearray, kind: str, path: Path) -> None:
    _piped(key, "systemd-creds", "encrypt", f"--name={NAME}", f"--with-key={kind}", "-", str(path))


def _try(key: bytearray, path: Path) -> None:
    """Opens what was sealed: a slot whose key is lost would be found out at the next boot, at three in the morning."""
    command = ["systemd-creds", "decrypt", f"--name={NAME}", str(path), "-"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:  # noqa: S603 - fixed words
        assert process.stdout is not None
        again = bytearray(MACHINE_KEY_BYTES + 1)
        length = process.stdout.readinto(again) or 0  # type: ignore[attr-defined]  # unbuffered it is a FileIO
    same = hmac.compare_digest(again[:length], key)
    wipe(again)
    if process.returncode or not same:
        raise Failure("what was sealed does not open again; no slot was made", "journalctl --boot", code=ExitCode.INTERNAL)


def _piped(secret: bytearray, *command: str) -> None:
    try:
        process = subprocess.Popen(  # noqa: S603 - fixed words
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0, umask=0o077
        )
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed", "it comes with systemd 250 or later", code=ExitCode.NOT_FOUND) from None
    assert process.stdin is not None
    with process:
        try:
            process.stdin.write(secret)
            process.stdin.close()
        except BrokenPipeError:
            pass  # what it says tells why
        said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    if process.returncode:
        raise Failure(f"{' '.join(command[:2])} failed: {said[-200:]}", "systemd-creds setup", code=ExitCode.INTERNAL, reason="system")


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words
    except FileNotFoundError:
        return False
