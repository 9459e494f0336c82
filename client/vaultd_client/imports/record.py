"""What an import made, so that it can be undone: ids and etags, no key and no mask. One JSON file each, mode 0600."""

import json
import os
import re
import secrets
import stat
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from vaultd_client import paths
from vaultd_client.errors import InvalidError
from vaultd_client.files import write_whole
from vaultd_client.imports.source import Stamp

VERSION = 1
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}", re.ASCII)
LIST = "vaultctl import list"


@dataclass(frozen=True, slots=True)
class Made:
    """One exchange that an import has stored. `where` is its place in the source."""

    where: str
    exchange: str
    name: str
    kind: str
    etag: str


@dataclass(slots=True)
class Record:
    """One import. `pending` is the name that was being stored when the record was written last.

    `stamps` are of the files that were read, by path; `shredded` are those that were overwritten since.
    """

    id: str
    time: str
    vault_id: str
    source: str
    format: str
    stamps: dict[str, Stamp] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    pending: str = ""
    shredded: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Writes it durably.

        Raises:
            InvalidError: The state directory cannot be written.
        """
        content = json.dumps({"version": VERSION, **asdict(self)}, indent=2).encode()
        path = _path(self.id)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, content, overwrite=True)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            hint = "without it the import could not be undone; make room or set XDG_STATE_HOME"
            raise InvalidError(f"{path} cannot be written: {reason}", hint=hint) from None

    def forget(self) -> None:
        """Removes it: there is nothing left to undo."""
        try:
            _path(self.id).unlink(missing_ok=True)
        except NotADirectoryError:
            pass  # then it was never written


def new(vault_id: bytes, source: str, form: str, stamps: dict[str, Stamp]) -> Record:
    """Returns the record of an import that begins."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return Record(name, now.isoformat(timespec="microseconds"), vault_id.hex(), source, form, stamps)


def load(name: str) -> Record | None:
    """Returns the record of an import; None where there is none of that id.

    Raises:
        InvalidError: The file is broken, or others may write it.
    """
    if not _ID.fullmatch(name):
        return None
    try:
        descriptor = os.open(_path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidError(f"{_path(name)} cannot be read: {os.strerror(error.errno or 0)}", hint=LIST) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            # It says what to erase: nobody else may have had a hand in it.
            raise InvalidError(f"{_path(name)} is open to others", hint=f"look at it, then: chmod 600 {_path(name)}")
        content = file.read()
    try:
        document = json.loads(content)
        if document.pop("version") != VERSION:
            raise ValueError
        stamps = {path: Stamp(**each) for path, each in document.pop("stamps").items()}
        made = [Made(**each) for each in document.pop("made")]
        return Record(**document, stamps=stamps, made=made)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvalidError(f"{_path(name)} is no record of an import", hint="remove it") from None


def of_vault(vault_id: bytes) -> list[Record]:
    """Returns the records of one vault, the newest first."""
    try:
        found = [path.stem for path in _directory().iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    records = [load(name) for name in found if _ID.fullmatch(name)]
    own = [each for each in records if each and each.vault_id == vault_id.hex()]
    return sorted(own, key=lambda each: each.time, reverse=True)  # ids are by the second, and imports may be faster


def _directory() -> Path:
    return paths.state_dir() / "imports"


def _path(name: str) -> Path:
    return _directory() / f"{name}.json"
