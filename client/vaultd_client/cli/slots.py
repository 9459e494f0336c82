"""`vaultctl slot`, `vaultctl passphrase` and `vaultctl master-key`: the ways to unlock."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from vaultd_client import unattended
from vaultd_client.cli import machine_slot, prompts
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import DESCRIPTOR
from vaultd_client.cli.secrets_in import line_from, machine_key_from, wiped
from vaultd_client.cli.session import Group, Session, moment, plain
from vaultd_client.cli.slot_secrets import (
    Opening,
    new_machine_key,
    new_passphrase,
    new_passphrase_option,
    new_recovery_code,
    opening_options,
    recovery_code,
)
from vaultd_client.cli.slot_secrets import passphrase as existing_passphrase
from vaultd_client.cli.terminal import table
from vaultd_client.errors import LockedError, UninitializedError
from vaultd_client.recovery import decode
from vaultd_client.slots import Slot
from vaultd_client.unlock import UnlockClient

MAX_LABEL_CHARS = 64
"""The daemon's; here it cuts a long name of a host."""


@click.group(cls=Group)
def slot() -> None:
    """Key slots: each is one way to unlock the vault."""


@slot.command("list")
@click.pass_obj
def list_slots(session: Session) -> None:
    """List the key slots. Works while the vault is locked."""
    with session.unlock_client() as keyholder:
        found = keyholder.slots()
    rows = [(each.slot, each.kind, each.label, _cost(each), moment(each.created_at)) for each in found]
    session.terminal.result({"slots": plain(found)}, table(("SLOT", "KIND", "LABEL", "COST", "CREATED"), rows))


@slot.command()
@click.option(
    "--kind",
    type=click.Choice(["passphrase", "recovery", "machine"]),
    default="passphrase",
    show_default=True,
    help="What shall open it.",
)
@click.option("--machine", is_flag=True, help="A machine slot for an unattended start, sealed to this host (root).")
@click.option("--label", default="", help="What the slot is called.")
@opening_options
@new_passphrase_option
@click.option("--recovery-to-fd", type=DESCRIPTOR, help="Write the new recovery code to this descriptor.")
@click.option("--new-key-file", type=click.Path(path_type=Path), help="Make a machine key, in this new file.")
@click.option("--new-key-fd", type=DESCRIPTOR, help="Read the new machine key from this descriptor.")
@click.pass_obj
def add(
    session: Session,
    /,
    *,
    kind: str,
    machine: bool,
    label: str,
    new_passphrase_fd: int | None,
    recovery_to_fd: int | None,
    new_key_file: Path | None,
    new_key_fd: int | None,
    **opening: Any,
) -> None:
    """Add a key slot. A secret that opens the vault now is asked for first."""
    if machine:
        machine_slot.require()
    with session.unlock_client() as keyholder:
        _require_unlocked(keyholder)
        wanted = Opening(**opening)
        secret = wanted.read("Passphrase that opens the vault now")
        with wiped(secret):
            if machine:
                _add_sealed(session, keyholder, secret, wanted.kind, label)
                return
            if kind == "recovery":
                new = new_recovery_code(recovery_to_fd)
            elif kind == "machine":
                new = new_machine_key(session.terminal, new_key_fd, new_key_file)
            else:
                new = new_passphrase(new_passphrase_fd, "--new-passphrase-fd")
            with wiped(new), session.terminal.working("Adding the slot; Argon2id takes a moment"):
                number = keyholder.slot_add(secret, new, kind=kind, label=label, secret_kind=wanted.kind)
    session.terminal.result({"slot": number, "kind": kind}, f"Slot {number} ({kind}) opens the vault from now on.")


def _add_sealed(session: Session, keyholder: UnlockClient, secret: bytearray, secret_kind: str, label: str) -> None:
    label = label or f"machine {socket.gethostname()}"[:MAX_LABEL_CHARS]
    with machine_slot.new_key() as (new, sealed_to), session.terminal.working("Adding the slot"):
        number = keyholder.slot_add(secret, new, kind="machine", label=label, secret_kind=secret_kind)
    document = {"slot": number, "kind": "machine", "credential": str(unattended.CREDENTIAL), "sealed_to": sealed_to}
    told = {"host": "the host's key", "host+tpm2": "the host's key and its TPM"}[sealed_to]
    text = f"Slot {number} (machine) opens the vault after each boot; its key is sealed to {told}."
    session.terminal.result(document, text, f"Try it: vaultctl lock, then systemctl start {unattended.UNIT}")


@slot.command()
@click.argument("number", metavar="SLOT", type=click.IntRange(min=1))
@opening_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(session: Session, /, *, number: int, yes: bool, **opening: Any) -> None:
    """Remove a key slot; never the last one that a person can use."""
    with session.unlock_client() as keyholder:
        _require_unlocked(keyholder)
        if not yes:
            prompts.must_confirm(f"Remove slot {number}? What opens it will open nothing")
        wanted = Opening(**opening)
        secret = wanted.read()
        kind = next((each.kind for each in keyholder.slots() if each.slot == number), "")
        with wiped(secret), session.terminal.working("Removing the slot"):
            keyholder.slot_remove(number, secret, secret_kind=wanted.kind)
    session.terminal.result({"removed": number}, f"Slot {number} is removed.")
    if kind == "machine" and unattended.CREDENTIAL.exists():
        session.terminal.note(f"If it was this host's: systemctl disable {unattended.UNIT}; rm {unattended.CREDENTIAL}")


@click.group(cls=Group)
def passphrase() -> None:
    """The passphrase."""


@passphrase.command()
@click.option("--slot", "number", type=click.IntRange(min=1), help="The slot; the one it opens where left out.")
@click.option("--passphrase-fd", type=DESCRIPTOR, help="Read the old passphrase from this descriptor.")
@new_passphrase_option
@click.pass_obj
def change(session: Session, *, number: int | None, passphrase_fd: int | None, new_passphrase_fd: int | None) -> None:
    """Change a passphrase. Only its key slot is written again."""
    with session.unlock_client() as keyholder:
        _require_unlocked(keyholder)
        old = existing_passphrase(passphrase_fd, "Old passphrase")
        with wiped(old):
            new = new_passphrase(new_passphrase_fd, "--new-passphrase-fd")
            with wiped(new), session.terminal.working("Changing the passphrase; Argon2id takes a moment"):
                changed = keyholder.passphrase_change(old, new, slot=number)
    session.terminal.result({"slot": changed}, f"The passphrase of slot {changed} is changed.")


@click.group("master-key", cls=Group)
def master_key() -> None:
    """The master key."""


@master_key.command()
@click.option(
    "--slot-fd",
    "given",
    multiple=True,
    metavar="SLOT=FD",
    help="Read the secret of a slot from a descriptor; may be repeated.",
)
@click.pass_obj
def rotate(session: Session, *, given: Sequence[str]) -> None:
    """Make a new master key.

    Every data key is wrapped under it, in one transaction. The secret of every key slot is needed, because each has to
    open the new master key.
    """
    descriptors = _slot_descriptors(given)
    with session.unlock_client() as keyholder, ExitStack() as wipes:
        _require_unlocked(keyholder)
        slots = keyholder.slots()
        unknown = set(descriptors) - {each.slot for each in slots}
        if unknown:
            raise Failure(f"there is no slot {min(unknown)}", "vaultctl slot list")
        secrets: dict[int, bytearray] = {}
        for each in slots:
            secrets[each.slot] = _secret_of(each, descriptors.get(each.slot))
            wipes.enter_context(wiped(secrets[each.slot]))
        with session.terminal.working("Wrapping every key again"):
            rewrapped = keyholder.master_key_rotate(secrets)
    text = f"The master key is new; {rewrapped} data keys were wrapped again."
    session.terminal.result({"rewrapped": rewrapped}, text)


def _slot_descriptors(given: Sequence[str]) -> Mapping[int, int]:
    descriptors = {}
    for each in given:
        number, _, descriptor = each.partition("=")
        if not (number.isascii() and number.isdigit() and descriptor.isascii() and descriptor.isdigit()):
            raise Failure(f"--slot-fd: {each!r} is not SLOT=FD", "such as --slot-fd 1=3 3< FILE")
        descriptors[int(number)] = int(descriptor)
    return descriptors


def _secret_of(slot: Slot, descriptor: int | None) -> bytearray:
    named = f"slot {slot.slot}" + (f" ({slot.label})" if slot.label else "")
    option = f"--slot-fd {slot.slot}=FD"
    if slot.kind == "machine":
        if descriptor is None:
            raise Failure(f"the machine key of {named} cannot be typed", f"hand it over: {option} FD< FILE")
        return machine_key_from("--slot-fd", descriptor)
    if descriptor is None:
        if slot.kind == "recovery":
            return recovery_code(None, f"Recovery code of {named}")
        return existing_passphrase(None, f"Passphrase of {named}")
    typed = line_from("--slot-fd", descriptor)
    if slot.kind != "recovery":
        return typed
    with wiped(typed):
        return decode(typed.decode(errors="replace"))


def _require_unlocked(keyholder: UnlockClient) -> None:
    """Refuses before a person has typed anything in vain."""
    state = keyholder.status().state
    if state == "UNINITIALIZED":
        raise UninitializedError("the vault was never initialized")
    if state != "UNLOCKED":
        raise LockedError("the vault is locked")


def _cost(slot: Slot) -> str:
    if not slot.memory_kib:
        return "-"
    return f"{slot.memory_kib // 1024} MiB, {slot.passes} passes, {slot.lanes} lanes"
