"""A power cut, simulated: what a daemon wrote is recorded, and disks are made of it as a cut may have left them.

The model of a disk, on the unkind side of POSIX: a write or a change of length counts for certain once the file was synced, a
name once its directory was. Of what was not synced any part may be there: each write by itself, in pieces of 512
bytes; names in the order in which they were changed, up to any point.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

SECTOR = 512
TRACED = "write,pwrite64,ftruncate,fsync,fdatasync,openat,?rename,?renameat,?renameat2,?unlink,?unlinkat"
OPTIONS = ("-ff", "-ttt", "-y", "-xx", "-s", "1000000")
Kind = Literal["create", "write", "length", "sync", "rename", "unlink"]

_LINE = re.compile(r"(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)")
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_BESIDE = re.compile(r'<[^>]*>|"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Record:
    """One call. `at` in seconds since the epoch; `size` is the offset of a write, or the new length."""

    at: float
    kind: Kind
    path: str
    size: int = 0
    data: bytes = b""
    to: str = ""


def parse(logs: Sequence[Path]) -> list[Record]:
    """Reads what strace wrote (one log for each thread), in the order of time; calls that failed are left out."""
    found: list[Record] = []
    for log in logs:
        offsets: dict[str, int] = {}
        for line in log.read_text().splitlines():
            matched = _LINE.match(line)
            if matched is None or matched[4].startswith("-"):
                continue
            found += _records(float(matched[1]), matched[2], matched[3], int(matched[4]), offsets)
    return sorted(found, key=lambda record: record.at)


def _records(at: float, call: str, given: str, result: int, offsets: dict[str, int]) -> Iterator[Record]:
    texts = [_plain(text) for text in re.findall(r'"([^"]*)"', given)]
    path = _descriptor(given)
    numbers = re.sub(_BESIDE, "", given).split(",")
    match call:
        case "openat":
            name = texts[0].decode()
            offsets[name] = 0
            if "O_CREAT" in given:
                yield Record(at, "create", name)
            if "O_TRUNC" in given:
                yield Record(at, "length", name, 0)
        case "pwrite64":
            yield Record(at, "write", path, int(numbers[3]), texts[0][:result])
        case "write":
            yield Record(at, "write", path, offsets[path], texts[0][:result])
            offsets[path] += result
        case "ftruncate":
            yield Record(at, "length", path, int(numbers[1]))
        case "fsync" | "fdatasync":
            yield Record(at, "sync", path)
        case "rename" | "renameat" | "renameat2":
            yield Record(at, "rename", texts[0].decode(), to=texts[1].decode())
        case "unlink" | "unlinkat":
            yield Record(at, "unlink", texts[0].decode())


def _plain(text: str) -> bytes:
    return bytes.fromhex("".join(_HEX.findall(text)))


def _descriptor(given: str) -> str:
    matched = re.match(r"\d+<([^>]*)>", given)
    return _plain(matched[1]).decode() if matched else ""


@dataclass(slots=True, eq=False)
class _File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class _Directory:
    safe: dict[str, _File] = field(default_factory=dict)
    live: dict[str, _File] = field(default_factory=dict)
    pending: list[tuple[str, str, _File | None]] = field(default_factory=list)
    """(name that goes, name that comes, file)"""


class Disk:
    """What is safe and what is pending after the records so far.

    Args:
        deaf: Files whose syncs are ignored, by name; for positive controls. `*` is all, directories too.
    """

    def __init__(self, deaf: Sequence[str] = ()) -> None:
        self._deaf = deaf
        self._directories: dict[str, _Directory] = {}

    def take(self, record: Record) -> None:
        """Goes on by one record."""
        path = PurePath(record.path)
        directory = self._directory(str(path.parent))
        match record.kind:
            case "create":
                if path.name not in directory.live:
                    self._name(directory, "", path.name, _File())
            case "write" | "length":
                directory.live[path.name].pending.append(record)
            case "rename":
                self._name(directory, path.name, PurePath(record.to).name, directory.live[path.name])
            case "unlink":
                self._name(directory, path.name, "", None)
            case "sync":
                self._sync(record.path)

    def cut(self, chance: random.Random, keep: float) -> dict[str, bytes]:
        """Returns the files of a disk as a power cut may have left it, by name.

        Args:
            chance: Decides what of the pending is there.
            keep: How likely each piece is: 0 nothing, 1 all.
        """
        files: dict[str, bytes] = {}
        for directory in self._directories.values():
            names = dict(directory.safe)
            some = chance.randint(0, len(directory.pending)) if 0 < keep < 1 else round(keep * len(directory.pending))
            for change in directory.pending[:some]:
                _rename(names, change)
            files |= {name: _cut_file(file, chance, keep) for name, file in names.items()}
        return files

    def _directory(self, path: str) -> _Directory:
        return self._directories.setdefault(path, _Directory())

    def _name(self, directory: _Directory, gone: str, new: str, file: _File | None) -> None:
        _rename(directory.live, (gone, new, file))
        directory.pending.append((gone, new, file))

    def _sync(self, path: str) -> None:
        name = PurePath(path).name
        if "*" in self._deaf or name in self._deaf:
            return
        if path in self._directories:
            directory = self._directories[path]
            directory.safe = dict(directory.live)
            directory.pending.clear()
            return
        file = self._directory(str(PurePath(path).parent)).live.get(name)
        if file is not None:
            for record in file.pending:
                _apply(file.safe, record)
            file.pending.clear()


def _rename(names: dict[str, _File], change: tuple[str, str, _File | None]) -> None:
    gone, new, file = change
    names.pop(gone, None)
    if file is not None:
        names[new] = file


def _apply(content: bytearray, record: Record) -> None:
    if record.kind == "length":
        content.extend(bytes(max(0, record.size - len(content))))
        del content[record.size :]
    else:
        content.extend(bytes(max(0, record.size - len(content))))
        content[record.size : record.size + len(record.data)] = record.data


def _cut_file(file: _File, chance: random.Random, keep: float) -> bytes:
    content = bytearray(file.safe)
    for record in file.pending:
        if keep == 1 or chance.random() < keep:
            _apply(content, record)
        elif record.kind == "write" and keep and chance.random() < 0.5:
            for piece in _sectors(record):
                if chance.random() < 0.5:
                    _apply(content, piece)
    return bytes(content)


def _sectors(record: Record) -> Iterator[Record]:
    """Yields the parts of a write that lie in one sector of the file each."""
    start = 0
    while start < len(record.data):
        end = start + SECTOR - (record.size + start) % SECTOR
        yield Record(record.at, "write", record.path, record.size + start, record.data[start:end])
        start = end
