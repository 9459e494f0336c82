"""`vaultctl client`: keys, the allowlist, and the rights of administrators. `grants.py` has the rest."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vaultd_client.cli import prompts
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.grants import confirm, grant, ungrant, why
from vaultd_client.cli.parsing import User
from vaultd_client.cli.session import Group, Session, plain
from vaultd_client.cli.views import client_table, exchange_names
from vaultd_client.client import VaultClient
from vaultd_client.errors import UninitializedError, UntrustedVaultError
from vaultd_client.keys import ClientKey, Pin, parse_public
from vaultd_client.models import Client

_PERMISSION = "Administrative permission, such as Exchanges:Create; * is all of them. May be repeated."
_PUBLIC_FILE_CHARACTERS = 4096
_PUBLIC_FILE = "name a file that holds the public key alone"


@click.group(cls=Group)
def client() -> None:
    """Programs that may ask for plaintext, and their keys."""


for command in (grant, ungrant, why, confirm):
    client.add_command(command)


@client.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--fingerprint", help="Refuse a vault of another fingerprint; an administrator's status shows it.")
@click.option("--no-pin", is_flag=True, help="Pin no vault yet; later: vaultctl client pin.")
@click.pass_obj
def keygen(session: Session, *, path: Path | None, fingerprint: str | None, no_pin: bool) -> None:
    """Make a key file and print its public key.

    The file pins the vault that runs: compare the fingerprint with the one that an administrator sees. Run it as the
    user who will use the key.
    """
    if no_pin and fingerprint:
        raise Failure("--no-pin and --fingerprint exclude each other", "leave one out")
    target = path or session.key_path()
    pin = None if no_pin else _running(session, fingerprint)
    key = ClientKey.generate()
    key = key.with_pin(pin) if pin else key
    key.save(target)
    _tell_key(session, key, target)


@client.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--fingerprint", help="Refuse a vault of another fingerprint.")
@click.option("--yes", is_flag=True, help="Do not ask, even where the file pins another vault.")
@click.pass_obj
def pin(session: Session, *, path: Path | None, fingerprint: str | None, yes: bool) -> None:
    """Pin the running vault in the key file at PATH."""
    target = path or session.key_path()
    key = ClientKey.load(target)
    found = _running(session, fingerprint)
    if key.vault is not None and key.vault != found and not yes:
        session.terminal.warn(f"{target} pins {key.vault.fingerprint}, the running vault is {found.fingerprint}")
        prompts.must_confirm("Trust the running vault from now on?")
    if key.vault != found:
        key.with_pin(found).save(target, overwrite=True)
    _tell_key(session, key.with_pin(found), target)


@client.command()
@click.argument("name")
@click.argument("public_key", metavar="PUBLIC_KEY")
@click.option("--uid", required=True, type=User(), help="User that the kernel must report for it: name or uid.")
@click.option("--unit", default="", help="systemd unit that the kernel must report for it, such as bot.service.")
@click.option("--permission", "permissions", multiple=True, help=_PERMISSION)
@click.pass_obj
def allow(session: Session, *, name: str, public_key: str, uid: int, unit: str, permissions: Sequence[str]) -> None:
    """Put a client on the allowlist. It may do nothing yet: grant it something.

    PUBLIC_KEY is what `vaultctl client keygen` printed, or @FILE with that in it.
    """
    raw = parse_public(_public_text(public_key))
    with session.client() as vault:
        allowed = vault.allow_client(name, raw, uid, unit=unit, permissions=permissions)
        _show(session, vault, allowed)
    mine = ClientKey.load(session.key_path()).vault
    if mine is not None and not session.terminal.json:
        session.terminal.note(f"Its key file must pin {mine.fingerprint}; vaultctl client keygen said which it pins.")
        session.terminal.note(f"Next: vaultctl client grant {allowed.name} EXCHANGE --configuration read")


@client.command("list")
@click.pass_obj
def list_clients(session: Session) -> None:
    """List the clients with their grants."""
    with session.client() as vault:
        found = vault.clients()
        names = exchange_names(vault)
    session.terminal.result({"clients": plain(found)}, client_table(found, names))


@client.command()
@click.argument("name", metavar="CLIENT")
@click.option("--uid", type=User(), help="User that the kernel must report for it.")
@click.option("--unit", help="systemd unit that the kernel must report for it; empty for any.")
@click.option("--permission", "permissions", multiple=True, help=f"Replaces all it has. {_PERMISSION}")
@click.option("--no-permissions", is_flag=True, help="Take all administrative permissions.")
@click.pass_obj
def update(
    session: Session,
    *,
    name: str,
    uid: int | None,
    unit: str | None,
    permissions: Sequence[str],
    no_permissions: bool,
) -> None:
    """Change user, unit or permissions of a client."""
    if permissions and no_permissions:
        raise Failure("--permission and --no-permissions exclude each other", "leave one out")
    wanted: dict[str, Any] = {
        "uid": uid,
        "unit": unit,
        "permissions": list(permissions) if permissions or no_permissions else None,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    if not changes:
        raise Failure("nothing to change", "vaultctl client update --help")
    with session.client() as vault:
        _show(session, vault, vault.update_client(name, **changes))


@client.command()
@click.argument("name", metavar="CLIENT")
@click.pass_obj
def disable(session: Session, *, name: str) -> None:
    """Switch a client off; its requests are refused."""
    with session.client() as vault:
        _show(session, vault, vault.update_client(name, state="DISABLED"))


@client.command()
@click.argument("name", metavar="CLIENT")
@click.pass_obj
def enable(session: Session, *, name: str) -> None:
    """Switch a client on again."""
    with session.client() as vault:
        _show(session, vault, vault.update_client(name, state="ACTIVE"))


@client.command()
@click.argument("name", metavar="CLIENT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def revoke(session: Session, *, name: str, yes: bool) -> None:
    """Revoke a client and its grants for good. Its key can never be allowed again."""
    if not yes:
        prompts.must_confirm(f"Revoke {name} for good?")
    with session.client() as vault:
        _show(session, vault, vault.revoke_client(name))


def _show(session: Session, vault: VaultClient, found: Client) -> None:
    session.terminal.result(plain(found), client_table([found], exchange_names(vault)))


def _running(session: Session, fingerprint: str | None) -> Pin:
    """Returns the vault that runs.

    Raises:
        UninitializedError: It has no identity yet.
        UntrustedVaultError: It has another fingerprint.
    """
    with session.client() as vault:
        found = vault.vault()
    if found.state == "UNINITIALIZED":
        raise UninitializedError("the vault has no identity yet", hint="vaultctl init, or add --no-pin")
    running = Pin(found.vault_id, found.identity)
    if fingerprint and fingerprint != running.fingerprint:
        raise UntrustedVaultError(f"the vault that runs has the fingerprint {running.fingerprint}")
    return running


def _tell_key(session: Session, key: ClientKey, path: Path) -> None:
    document = {
        "key_file": str(path),
        "public_key": key.public_text,
        "key_id": key.key_id.hex(),
        "vault_id": key.vault.vault_id.hex() if key.vault else None,
        "fingerprint": key.vault.fingerprint if key.vault else None,
    }
    session.terminal.result(document, key.public_text)
    if session.terminal.json:
        return
    session.terminal.note(f"key file: {path}")
    if key.vault:
        session.terminal.note(f"pins the vault {key.vault.fingerprint}; compare it with what an administrator sees")
    session.terminal.note("Next, as an administrator: vaultctl client allow NAME PUBLIC_KEY --uid USER")


def _public_text(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        with Path(given[1:]).open(encoding="ascii") as file:
            text = file.read(_PUBLIC_FILE_CHARACTERS)
    except OSError as error:
        raise Failure(f"{given[1:]} cannot be read: {os.strerror(error.errno or 0)}", _PUBLIC_FILE) from None
    except UnicodeDecodeError:
        raise Failure(f"{given[1:]} is no text", _PUBLIC_FILE) from None
    return text.strip()
