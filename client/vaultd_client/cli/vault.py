"""`vaultctl unlock`, `lock` and `status`."""

import os
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click

from vaultd_client import unattended as unattended_start
from vaultd_client.cli import ask_password as agents
from vaultd_client.cli import machine_slot
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.patience import SECONDS, while_replaced
from vaultd_client.cli.secrets_in import wiped
from vaultd_client.cli.session import Command, Session, moment, plain
from vaultd_client.cli.slot_secrets import Opening, opening_options
from vaultd_client.cli.terminal import facts, table
from vaultd_client.errors import (
    ExistsError,
    KeyFileError,
    LockedError,
    NotRunningError,
    RefusedError,
    TimedOutError,
    UninitializedError,
    UnlockDelayedError,
    UntrustedVaultError,
    VaultClientError,
)
from vaultd_client.keys import ClientKey, Pin
from vaultd_client.models import Vault
from vaultd_client.paths import SYSTEM_RUNTIME_DIR
from vaultd_client.slots import Unlocked, UnlockStatus
from vaultd_client.unlock import UnlockClient

FREE_FAILURES = 5
"""The daemon decides; this is only told."""
CLOCKS_AGREE = timedelta(minutes=1)
"""A smaller lead is that of the last entry of the audit, or of a clock that is being set right."""
BOOT_SECONDS = 9.0
"""A service may be started before the vault, and is given ten seconds by its unit."""
STATUS_SECONDS = 5.0
"""A keyholder says how it is at once, also while Argon2id works; one that does not hangs."""


@click.command(cls=Command)
@opening_options
@click.option("--credential", metavar="NAME", help="Open with the machine key in this credential of systemd.")
@click.option("--ask-password", is_flag=True, help="Have systemd ask: at the console, or by its agents.")
@click.option("--slot", type=click.IntRange(min=1), help="Try this key slot only.")
@click.option("--wait", is_flag=True, help="Wait while the vault takes no attempt; a person at a terminal always does.")
@click.option("--accept-rollback", is_flag=True, help="Take a store that is older than its anchor; its write grants wait for client confirm.")
@click.option("--accept-clock", is_flag=True, help="Take the host's clock where the vault's is ahead: it was wrong once.")
@click.pass_obj
def unlock(
    session: Session,
    /,
    *,
    credential: str | None,
    ask_password: bool,
    slot: int | None,
    wait: bool,
    accept_rollback: bool,
    accept_clock: bool,
    **opening: Any,
) -> None:
    """Unlock the vault.

    Takes a passphrase, a recovery code or a machine key, and says so where it is unlocked already. Prints generation,
    time and integrity of the store: compare them with those of the last time if you fear that somebody put an old store
    in its place.
    """
    pin = _pinned(session)
    with session.unlock_client() as keyholder, ExitStack() as closing:
        wanted = _opening(closing, credential, opening, ask_password=ask_password)
        is_boot = credential is not None
        seconds = BOOT_SECONDS if is_boot else SECONDS
        look = partial(_settled, session, keyholder)
        status = while_replaced(session.terminal, look, seconds=seconds, also_not_running=is_boot)
        if status.state == "UNINITIALIZED":
            raise UninitializedError("the vault was never initialized")
        if status.state == "UNLOCKED":
            session.terminal.result({"state": "UNLOCKED", "already": True}, "The vault is unlocked already.")
            return
        if pin is not None:
            with session.client() as client:
                found = while_replaced(session.terminal, client.vault, also_not_running=True)  # there is a keyholder
            _compare(pin, found.vault_id, found.identity)
        if status.retry_after_ms:
            _wait(session, status, patient=wait or wanted.is_asked)
        secret = agents.ask(lambda: while_replaced(session.terminal, look).state == "UNLOCKED") if ask_password else wanted.read()
        with wiped(secret), session.terminal.working("Unlocking; Argon2id takes a moment"):
            accepted = {"accept_rollback": accept_rollback, "accept_clock": accept_clock}
            unlocked = None if secret is None else _unlocked(session, keyholder, secret, wanted.kind, slot, accepted)
    if unlocked is None:
        session.terminal.result({"state": "UNLOCKED", "already": True}, "The vault was unlocked meanwhile.")
        return
    if pin is not None:
        _compare(pin, unlocked.pin.vault_id, unlocked.pin.identity)
    _show_unlocked(session, unlocked)


def _opening(closing: ExitStack, credential: str | None, opening: dict[str, Any], *, ask_password: bool) -> Opening:
    """Returns what opens the vault; one of all the options may say so."""
    wanted = Opening(**opening)
    if (credential is not None) + ask_password + (not wanted.is_asked or wanted.recovery) > 1:
        raise Failure("--credential, --ask-password and the other secrets exclude each other", "one secret opens the vault")
    if credential is None:
        return wanted
    return Opening(**{**opening, "key_fd": closing.enter_context(machine_slot.credential(credential))})


def _settled(session: Session, keyholder: UnlockClient) -> UnlockStatus:
    """Returns how the vault is.

    Raises:
        NotRunningError: The keyholder has the keys and the server says otherwise, or nothing yet. So it is for a moment
            after a restore: a keyholder that is about to refuse the store and end is not an unlocked vault.
    """
    status = keyholder.status()
    if status.state == "UNLOCKED":
        try:
            with session.client() as client:
                is_so = client.vault().state == status.state
        except NotRunningError:
            is_so = False
        if not is_so:
            text = "the keyholder has the keys, and vaultd does not serve with it"
            raise NotRunningError(text, reason="KEYHOLDER_UNAVAILABLE", hint="vaultctl status; is vaultd started?")
    return status


def _unlocked(
    session: Session, keyholder: UnlockClient, secret: bytearray, kind: str, slot: int | None, accepted: dict[str, bool]
) -> Unlocked | None:
    """Returns the unlock; None where the vault is unlocked by now, be it by a try whose answer was lost."""
    try:
        return while_replaced(session.terminal, lambda: keyholder.unlock(secret, kind=kind, slot=slot, **accepted))
    except ExistsError:
        return None
    except VaultClientError as error:
        if error.reason == "WRONG_PASSPHRASE":
            error.hint = _after_failure(error)
        raise


def _after_failure(error: VaultClientError) -> str:
    failures, delay = (int(error.metadata.get(name, "0") or "0") for name in ("failures", "retry_after_ms"))
    if delay:
        return f"{failures} wrong in a row; wait {_seconds(delay)}, then: vaultctl unlock"
    return f"{failures} wrong in a row; after {FREE_FAILURES} each costs a wait; try again: vaultctl unlock"


def _wait(session: Session, status: UnlockStatus, *, patient: bool) -> None:
    text = f"{status.failures} wrong passphrases in a row; no attempt for now"
    if not patient:
        raise UnlockDelayedError(
            text,
            metadata={"retry_after_ms": str(status.retry_after_ms)},
            hint=f"wait {_seconds(status.retry_after_ms)}, or add --wait",
        )
    session.terminal.countdown(text, status.retry_after_ms)


def _seconds(milliseconds: int) -> str:
    return f"{-(-milliseconds // 1000)} s"


def _show_unlocked(session: Session, unlocked: Unlocked) -> None:
    fingerprint = unlocked.pin.fingerprint
    time = datetime.fromtimestamp(unlocked.time_ms / 1000, UTC)
    ahead = time - datetime.now(UTC)
    if ahead < CLOCKS_AGREE:
        ahead = timedelta(0)
    document = {
        "state": "UNLOCKED",
        "already": False,
        "vault_id": unlocked.pin.vault_id.hex(),
        "fingerprint": fingerprint,
        "generation": unlocked.generation,
        "time": plain(time),
        "clock_ahead_seconds": round(ahead.total_seconds()),
        "integrity": unlocked.integrity,
        "exchanges": unlocked.exchanges,
        "clients": unlocked.clients,
        "slot": unlocked.slot,
        "upgraded": unlocked.upgraded,
        "restored": unlocked.restored,
        "suspended": unlocked.suspended,
    }
    shown = {
        "vault": f"unlocked with slot {unlocked.slot}" + (", whose cost was raised" if unlocked.upgraded else ""),
        "identity": fingerprint,
        "store": f"generation {unlocked.generation}, {moment(time)}, integrity {unlocked.integrity}",
        "holds": f"{unlocked.exchanges} exchanges, {unlocked.clients} clients",
    }
    session.terminal.result(document, facts(shown))
    if ahead:
        session.terminal.warn(
            f"the vault's clock says {moment(time)}, ahead of this host's: grants with an end end early;"
            " if this host is right: vaultctl lock, then vaultctl unlock --accept-clock"
        )
    if unlocked.restored:
        text = f"the store was restored: {unlocked.suspended} grants and clients are suspended"
        session.terminal.warn(f"{text}; look at them, then confirm them: vaultctl client list, vaultctl client confirm")


@click.command(cls=Command)
@click.pass_obj
def lock(session: Session) -> None:
    """Lock the vault: the process that holds the keys ends. Masked metadata stays readable.

    Goes over the unlock socket; whom that is closed to needs a key with the permission Vault:Lock.
    """
    already = False
    try:
        with session.unlock_client() as keyholder:
            state = while_replaced(session.terminal, keyholder.status).state
            if state == "UNINITIALIZED":
                raise UninitializedError("the vault was never initialized")
            already = state == "LOCKED"
            if not already:
                keyholder.lock()
    except RefusedError:
        with session.client() as client:
            try:
                client.lock()
            except LockedError:
                already = True
    text = "The vault is locked already." if already else "The vault is locked."
    session.terminal.result({"state": "LOCKED", "already": already}, text)


@click.command(cls=Command)
@click.option("--exit-code", is_flag=True, help="End with 4 where it is locked, 5 where it was never initialized.")
@click.pass_context
def status(ctx: click.Context, *, exit_code: bool) -> None:
    """Show state, identity and health of the vault.

    Health is the self-tests and protections; where one does not hold, its fallback is named.
    """
    session = ctx.ensure_object(Session)
    with session.client() as client:
        vault = client.vault()
        socket = client.socket
    keyholder = _keyholder(session)
    unattended = unattended_start.outcome() if socket.parent == SYSTEM_RUNTIME_DIR else None
    identity, pinned = _identity(session, vault)
    document = {
        **plain(vault),
        "fingerprint": identity,
        "pinned": pinned,
        "socket": str(socket),
        "unlock_socket": keyholder,
        "unattended": unattended,
    }
    shown = {
        "state": vault.state,
        "locked because": vault.lock_cause,
        "identity": identity + {True: " (pinned)", False: " (NOT the one that the key file pins)", None: ""}[pinned],
        "version": f"{vault.version}, schema {vault.schema_version}, format {vault.format_version}",
        "started": moment(vault.started_at),
        "unlocked": moment(vault.unlocked_at) if vault.unlocked_at else "",
        "socket": socket,
        "unlock socket": f"{keyholder['path']}" + (f" ({keyholder['detail']})" if keyholder["detail"] else ""),
        "unattended start": f"{unattended['result']}: {unattended['detail']}" if unattended else "",
        "unaudited denials": vault.unaudited_denials or "",
    }
    rows = [(each.name, "ok" if each.ok else "fallback", each.detail) for each in vault.checks]
    checks = table(("CHECK", "RESULT", "DETAIL"), rows)
    session.terminal.result(document, facts({name: text for name, text in shown.items() if text}), "", checks)
    if pinned is False:
        session.terminal.warn("this is not the vault that the key file pins")
    if exit_code:
        ctx.exit({"LOCKED": ExitCode.LOCKED, "UNINITIALIZED": ExitCode.UNINITIALIZED}.get(vault.state, ExitCode.OK))


def _keyholder(session: Session) -> dict[str, Any]:
    with session.unlock_client() as keyholder:
        path, keyholder.timeout = str(keyholder.path), STATUS_SECONDS
        try:
            status = keyholder.status()
        except (RefusedError, NotRunningError, TimedOutError, UntrustedVaultError) as error:
            return {"path": path, "detail": error.message}
    detail = f"{status.failures} wrong passphrases" if status.failures else ""
    if status.retry_after_ms:
        detail += f", no attempt for {_seconds(status.retry_after_ms)}"
    return {"path": path, "detail": detail, **plain(status)}


def _identity(session: Session, vault: Vault) -> tuple[str, bool | None]:
    """Returns the fingerprint, and whether it is the pinned one; None where there is nothing to compare."""
    if not vault.identity:
        return "", None
    pin = _pinned(session)
    found = Pin(vault.vault_id, vault.identity)
    return found.fingerprint, None if pin is None else pin == found


def _pinned(session: Session) -> Pin | None:
    """Returns the vault that the key file pins; None where there is no key file or it pins none."""
    path = session.key_path()
    if not os.path.lexists(path):
        return None
    try:
        return ClientKey.load(path).vault
    except KeyFileError as error:
        session.terminal.warn(f"the vault is not compared with a pin: {error.message}")
        return None


def _compare(pin: Pin, vault_id: bytes, identity: bytes) -> None:
    """Raises UntrustedVaultError where a vault is not the pinned one."""
    if (pin.vault_id, pin.identity) != (vault_id, identity):
        raise UntrustedVaultError(
            "this is not the vault that the key file pins",
            hint="vaultctl status; if the vault was made anew on purpose: vaultctl client pin",
        )
