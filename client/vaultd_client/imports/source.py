"""Opens what is to be imported, and no more of it than is sensible."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vaultd_client.errors import InvalidError

MAX_FILE_BYTES = 1024 * 1024
"""The largest configuration of a bot, with all its pair lists, is a quarter of that."""
MAX_FILES = 256
"""Files of a directory; Hummingbot has 44 connectors."""
STDIN = "stdin"
ENCRYPTED = (
    ("age-encryption.org/", "age", "age --decrypt FILE | vaultctl import -"),
    ("-----BEGIN AGE ENCRYPTED FILE-----", "age", "age --decrypt FILE | vaultctl import -"),
    ("-----BEGIN PGP MESSAGE-----", "OpenPGP", "gpg --decrypt FILE | vaultctl import -"),
    ("$ANSIBLE_VAULT;", "Ansible Vault", "ansible-vault view FILE | vaultctl import -"),
    ("Salted__", "openssl enc", "openssl enc -d ... | vaultctl import -"),
    ("U2FsdGVkX1", "openssl enc", "openssl enc -d -a ... | vaultctl import -"),
)
"""First bytes of a file that is encrypted as a whole, with what, and what opens it."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which file it was and in which state: what is shredded must be what was read."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Takes it from fstat(2)."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Source:
    """Text of one file. `path` and `stamp` are None for what came over a pipe; `mode` are its permission bits."""

    name: str
    text: str
    path: Path | None = None
    stamp: Stamp | None = None
    mode: int = 0

    def __repr__(self) -> str:
        return f"<Source {self.name}: text hidden>"


def sources(path: str) -> tuple[Source, ...]:
    """Reads a file, a directory of connector files, or stdin (`-`).

    Raises:
        InvalidError: It is not there, too large, no text, encrypted as a whole, or of a sort that is not read.
    """
    if path == "-":
        return (_source(STDIN, 0, None),)
    if os.path.isdir(path):
        return _directory(Path(path))
    return (_file(Path(path)),)


def _directory(path: Path) -> tuple[Source, ...]:
    inner = path / "connectors"
    where = inner if inner.is_dir() else path
    with _read_errors(where):
        files = sorted(each for each in where.iterdir() if each.suffix in {".yml", ".yaml"} and each.is_file())
    if not files:
        raise InvalidError(f"{path} holds no connector files (*.yml)", hint="name the file, or conf/connectors")
    if len(files) > MAX_FILES:
        raise InvalidError(f"{path} holds more than {MAX_FILES} files", hint="name the files that hold keys")
    return tuple(_file(each) for each in files)


def _file(path: Path) -> Source:
    with _read_errors(path):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):  # before it is opened: a device may act on that
            raise InvalidError(f"{path} is neither a file nor a directory", hint="vaultctl import --help")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _source(str(path), descriptor, Path(os.path.abspath(path)))
        finally:
            os.close(descriptor)


def _source(name: str, descriptor: int, path: Path | None) -> Source:
    with _read_errors(name):
        status = os.fstat(descriptor)
        content = _all_of(name, descriptor)
    if stat.S_ISCHR(status.st_mode) and os.isatty(descriptor):
        raise InvalidError(f"{name} is a terminal, which would show the keys", hint="vaultctl import - < FILE")
    text = _text(name, content)
    if not stat.S_ISREG(status.st_mode) or path is None:
        return Source(name, text)
    return Source(name, text, path, Stamp.of(status), stat.S_IMODE(status.st_mode))


def _all_of(name: str, descriptor: int) -> bytes:
    pieces, length = [], 0
    while not os.isatty(descriptor) and (piece := os.read(descriptor, MAX_FILE_BYTES + 1 - length)):
        pieces.append(piece)
        length += len(piece)
        if length > MAX_FILE_BYTES:
            hint = "import only the part that holds the keys"
            raise InvalidError(f"{name} is larger than {MAX_FILE_BYTES // 1024} KiB", hint=hint)
    return b"".join(pieces)


def _text(name: str, content: bytes) -> str:
    for begin, tool, command in ENCRYPTED:
        if content.startswith(begin.encode()):
            raise InvalidError(f"{name} is encrypted ({tool})", hint=f"decrypt it into a pipe: {command}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidError(f"{name}: line {line}: not UTF-8 text", hint="save it as UTF-8") from None
    if "\0" in text:
        raise InvalidError(f"{name} is a binary file", hint="vaultctl import --help")
    if not text.strip():
        raise InvalidError(f"{name} is empty", hint="vaultctl import --help")
    return text


@contextmanager
def _read_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InvalidError(f"{path} cannot be read: {reason}", hint="check its name, owner and mode") from None
