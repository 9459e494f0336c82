"""Shredding of the source after an import: offered, never done when anything of the file would be lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from vaultd_client.cli import prompts
from vaultd_client.cli.import_plan import Item, Status
from vaultd_client.cli.session import Session
from vaultd_client.errors import InvalidError
from vaultd_client.imports.found import Reading
from vaultd_client.imports.record import Record, of_vault
from vaultd_client.imports.shred import PROMISE, obstacle, shred
from vaultd_client.imports.source import Source


@dataclass(frozen=True, slots=True)
class Consumed:
    """A source after its import: its name, its files, what was in them and what became of it."""

    name: str
    files: Sequence[Source]
    reading: Reading
    items: Sequence[Item]
    made: Record


def offer(session: Session, source: Consumed, *, wanted: bool, asked: bool, yes: bool) -> bool:
    """Shreds the source where that was asked for, or offers it where a person looks on.

    Args:
        session: The run.
        source: What was imported.
        wanted: True where `--shred` was given.
        asked: True where the question before the import was asked, which names the shredding that was wanted.
        yes: True where `--yes` was given.

    Returns:
        True where the files are gone.
    """
    name = source.name
    if all(item.status is Status.EMPTY for item in source.items):
        if wanted:
            session.terminal.note(f"{name} stays as it is: it holds no key.")
        return False
    records = [source.made, *of_vault(bytes.fromhex(source.made.vault_id))]
    reason = next(filter(None, map(obstacle, source.files)), "") or _lost(source, records)
    if reason:
        say = session.terminal.warn if wanted else session.terminal.note
        say(f"{name} stays as it is, with its keys in plaintext: {reason}.")
        return False
    if not wanted and (yes or not asked or session.terminal.json):
        session.terminal.note(f"{name} still holds these keys in plaintext: vaultctl import '{name}' --shred")
        return False
    certain = wanted and (yes or asked)
    if not certain and not prompts.confirm(f"All of {name} is in the vault. Overwrite and remove it?"):
        return False
    try:
        for file in source.files:
            _note_in_records(file, records)
            shred(file)
    except InvalidError as error:
        session.terminal.warn(f"{error.message}; {error.hint}")
        return False
    session.terminal.note(f"{name}: {PROMISE}")
    return True


def _lost(source: Consumed, records: Sequence[Record]) -> str:
    """Returns what would be lost with the files; empty where all of them is in the vault."""
    known = {
        each.where
        for record in records
        if record.stamps == {str(file.path): file.stamp for file in source.files}
        for each in record.made
    }
    for item in source.items:
        kept = item.status in {Status.IMPORTED, Status.REPEATED, Status.EMPTY}
        if not kept and not (item.status is Status.CONNECTED and item.where in known):
            why = "whose secret may be another one" if item.status is Status.CONNECTED else "and is only there"
            return f"{item.where} was not imported from it ({item.status}), {why}"
    if not source.reading.only_keys:
        places = ", ".join(item.where for item in source.items if item.status is Status.IMPORTED)
        return f"it holds more than keys; take them out by hand{': ' + places if places else ''}"
    return ""


def _note_in_records(file: Source, records: Sequence[Record]) -> None:
    """Says in the records that an undo would now erase the last copy; before the file is gone, not after."""
    for record in records:
        if record.made and record.stamps.get(str(file.path)) == file.stamp:
            record.shredded = sorted({*record.shredded, str(file.path)})
            record.save()
