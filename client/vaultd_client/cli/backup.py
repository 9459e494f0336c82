"""`vaultctl backup`: make one, try it, put it back."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from vaultd_client import backups
from vaultd_client.cli import age, backup_files, units
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.restoring import restore as restored
from vaultd_client.cli.secrets_in import wiped
from vaultd_client.cli.session import Group, Session, moment, plain
from vaultd_client.cli.slot_secrets import Opening, opening_options
from vaultd_client.cli.terminal import facts
from vaultd_client.cli.throwaway import ThrowAwayVault, throw_away_vault
from vaultd_client.client import VaultClient
from vaultd_client.errors import RateLimitedError, VaultClientError
from vaultd_client.keys import ClientKey
from vaultd_client.slots import Checked
from vaultd_client.unlock import UnlockClient

_FILE = click.Path(path_type=Path)
_STOP = "stop it first: sudo systemctl stop vaultd.socket vaultd, or Ctrl-C where it runs; start it again afterwards"


class _Backup(Group):
    """A group whose usual command needs no name: `vaultctl backup FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the usual command's name before what is not the name of another."""
        if args and args[0] not in {*self.commands, "-h", "--help", "--json"}:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Backup)
def backup() -> None:
    """A copy of the vault in a file: `vaultctl backup FILE` makes one.

    `verify` opens it for real and decrypts everything in it; `restore` puts it in place of the store.
    """


_identity = click.option("--identity", type=_FILE, help="File with the private key of the recipient, for an encrypted backup.")


@backup.command()
@click.argument("path", metavar="FILE", type=_FILE)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    help="Public key to encrypt it to (age1..., or an SSH key). May be repeated.",
)
@click.option("--keep", type=click.IntRange(min=1), help="In a directory: remove all but the newest so many of this vault.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@click.pass_obj
def create(session: Session, *, path: Path, recipients: Sequence[str], keep: int | None, force: bool) -> None:
    """Make a backup while the vault works. This is `vaultctl backup FILE`.

    FILE may be a directory, in which it gets a name of its own, or - for stdout. Machine slots are left out: a
    backup opens with a passphrase or recovery code of the day it was made, also with one that is changed later. Without
    --recipient it can be guessed at as the store itself can.
    """
    to = age.recipients(recipients) if recipients else []
    if keep is not None and not backup_files.is_directory(path):
        raise Failure("--keep is for a directory", "name a directory, or leave --keep out")
    if not force and not backup_files.is_directory(path):
        backup_files.require_new(path)
    pin = ClientKey.load(session.key_path()).vault
    with session.client() as vault, session.terminal.working("Making the backup"), _begun(vault) as source:
        begun = source.begun
        if pin is not None:
            backups.require_pinned(begun.header, pin)
        if str(path) == "-":
            _write(source, cast("BinaryIO", sys.stdout.buffer), to)
            return
        target, manifest = path, begun.header.manifest
        if backup_files.is_directory(path):
            target = path / backup_files.name_of(manifest, encrypted=bool(to))
        with backup_files.new_file(target, overwrite=force) as file:
            _write(source, file, to)
        removed = backup_files.prune(target, manifest, keep) if keep is not None else []
    document = {"file": str(target), "encrypted": bool(to), "removed": [str(each) for each in removed], **plain(manifest)}
    shown = {"file": target, "encrypted": "to a recipient" if to else "", **_facts(manifest)}
    session.terminal.result(document, facts({name: text for name, text in shown.items() if text}))
    if not to and not session.terminal.json:
        session.terminal.note("It is as safe as the vault's passphrases; --recipient makes it safer: vaultctl backup keygen.")
    if not session.terminal.json:
        session.terminal.note(f"Try it: vaultctl backup verify {target}")


@backup.command()
@click.argument("path", metavar="FILE", type=_FILE)
@click.pass_obj
def keygen(session: Session, *, path: Path) -> None:
    """Make a key pair for encrypted backups and print its public half.

    FILE gets the private half, as age-keygen writes it. It is needed to verify and to restore, never to make a backup:
    take it off this host.
    """
    public = age.make_identity(path)
    session.terminal.result({"recipient": public, "identity": str(path)}, public)
    if not session.terminal.json:
        session.terminal.note(f"Keep {path} somewhere else: whoever has it and a backup can guess at the passphrases.")
        session.terminal.note(f"Next: vaultctl backup FILE --recipient {public}")


@backup.command()
@click.argument("path", metavar="FILE", type=_FILE)
@_identity
@opening_options
@click.pass_obj
def verify(session: Session, /, *, path: Path, identity: Path | None, **opening: Any) -> None:
    """Open a backup for real, decrypt everything in it, and count.

    A daemon of its own, in a directory that is removed at the end, restores it, unlocks it and decrypts every key pair.
    The vault of this host is not touched. Takes a passphrase, a recovery code or a key of the day the backup was made.
    """
    wanted = Opening(**opening)
    header: backups.Header | None = None

    def prepare(vault: ThrowAwayVault) -> None:
        nonlocal header
        header = _restore(path, identity, ["restore"], vault.environment)

    with ExitStack() as stack:
        with session.terminal.working("Restoring it into a throw-away vault"):
            vault = stack.enter_context(throw_away_vault(prepare))
        checked = _opened(session, vault, wanted)
    assert header is not None
    manifest = header.manifest
    _compare(manifest, checked)
    document = {"ok": True, **plain(manifest), "checked": plain(checked)}
    shown = {
        **_facts(manifest),
        "exchanges": checked.exchanges,
        "key pairs": f"{checked.key_pairs} decrypted" + (f", {checked.without_key} revoked" if checked.without_key else ""),
        "clients": f"{checked.clients}, with {checked.grants} grants",
        "audit": f"{manifest.generation} entries verified",
    }
    session.terminal.result(document, "The backup opens, and everything in it decrypts.", facts(shown))


def _opened(session: Session, vault: ThrowAwayVault, wanted: Opening) -> Checked:
    with UnlockClient(vault.directory / "run" / "unlock.sock") as keyholder:
        keyholder.connect()
        secret = wanted.read("Passphrase of the backup")
        with wiped(secret), session.terminal.working("Decrypting every record"):
            try:
                keyholder.unlock(secret, kind=wanted.kind)
            except VaultClientError as error:
                if error.reason == "WRONG_PASSPHRASE":
                    error.hint = "it opens with what opened the vault on the day it was made"
                raise
            return keyholder.check_records()


def _compare(manifest: backups.Manifest, checked: Checked) -> None:
    found = (checked.exchanges, checked.key_pairs + checked.without_key, checked.clients, checked.grants)
    if found != (manifest.exchanges, manifest.key_pairs, manifest.clients, manifest.grants):
        raise backups.invalid("it does not hold what its header says")


@backup.command()
@click.argument("path", metavar="FILE", type=_FILE)
@_identity
@click.option("--over-newer", is_flag=True, help="Replace a store that has gone on since the backup.")
@click.option("--replace-vault", is_flag=True, help="Replace the store of another vault, or one that cannot be read.")
@click.pass_obj
def restore(session: Session, *, path: Path, identity: Path | None, over_newer: bool, replace_vault: bool) -> None:
    """Put a backup in place of the store. The daemon must be stopped.

    What was there is kept beside it. The vault starts locked; at its next unlock every grant of a write half is suspended,
    for it may have been taken back since: vaultctl client confirm.
    """
    arguments = ["--system"] if _is_system() else []
    flags = {"--over-newer": over_newer, "--replace-vault": replace_vault}
    arguments += ["restore", *(flag for flag, given in flags.items() if given)]
    with session.terminal.working("Restoring"):
        header, done = _restored(path, identity, arguments, None)
    manifest = header.manifest
    shown: dict[str, object] = {
        "restored": f"generation {manifest.generation} of {moment(manifest.time)}",
        "vault": manifest.pin.fingerprint,
        "kept": tuple(done["kept"]),
    }
    session.terminal.result({**plain(manifest), **done}, facts({name: text for name, text in shown.items() if text}))
    if not session.terminal.json:
        session.terminal.note("Next: start vaultd, vaultctl unlock, vaultctl client list, vaultctl client confirm CLIENT")


def _is_system() -> bool:
    """Says whether it is the vault of the host: for root, where the services are installed and nothing else is named."""
    installed = (units.TARGETS["system"] / "vaultd.service").exists()
    return os.geteuid() == 0 and installed and "VAULTD_DATA_DIR" not in os.environ


def _restore(path: Path, identity: Path | None, arguments: list[str], environment: dict[str, str]) -> backups.Header:
    return _restored(path, identity, arguments, environment)[0]


def _restored(
    path: Path, identity: Path | None, arguments: list[str], environment: dict[str, str] | None
) -> tuple[backups.Header, dict[str, Any]]:
    try:
        with age.opened(path, identity) as stream:
            header = backups.read_header(stream)
            return header, restored(header, stream, arguments, environment)
    except VaultClientError as error:
        if error.reason == "STORE_IN_USE":
            error.message, error.hint = "vaultd is running", _STOP
        raise


@contextmanager
def _begun(vault: VaultClient) -> Iterator["_Source"]:
    """Yields a backup to read; what the vault keeps of it goes when the body has ended, however it did."""
    try:
        begun = vault.begin_backup()
    except RateLimitedError as error:
        error.hint = "wait for it, or, where its reader was killed, for a minute"
        raise
    try:
        yield _Source(vault, begun)
    finally:
        with suppress(VaultClientError):  # read to its end, it is gone already
            vault.read_backup(begun.token, begun.header.manifest.store_bytes)


class _Source:
    """A backup as a file that is read: header, then what the vault hands out piece by piece."""

    def __init__(self, vault: VaultClient, begun: backups.Begun) -> None:
        self.begun = begun
        self._vault = vault
        self._pieces = backups.whole(begun.header, self._read(begun.token))
        self._left = b""

    def _read(self, token: bytes) -> Iterator[bytes]:
        offset = 0
        while piece := self._vault.read_backup(token, offset):
            offset += len(piece)
            yield piece

    def read(self, size: int = -1, /) -> bytes:
        """Returns at most so many bytes."""
        if not self._left:
            self._left = next(self._pieces, b"")
        if size < 0:
            size = len(self._left)
        data, self._left = self._left[:size], self._left[size:]
        return data


def _write(source: _Source, target: BinaryIO, to: Sequence[Any]) -> None:
    if to:
        age.encrypt(source, target, to)
        return
    while piece := source.read():
        target.write(piece)
    target.flush()


def _facts(manifest: backups.Manifest) -> dict[str, object]:
    return {
        "vault": manifest.pin.fingerprint,
        "generation": manifest.generation,
        "made": moment(manifest.time),
        "exchanges": manifest.exchanges,
        "key pairs": manifest.key_pairs,
        "clients": f"{manifest.clients}, with {manifest.grants} grants",
        "opens with": ", ".join(f"slot {slot} ({kind})" for slot, kind, _ in manifest.slots),
        "left out": f"{manifest.machine_slots_left_out} machine slots" if manifest.machine_slots_left_out else "",
    }
