"""Looks for secrets from outside: in the memory of a process, in its arguments and environment, in files.

    found = scan_memory(pid, {"passphrase": b"..."})
    assert not found.hits

A secret is looked for in every form of `forms`. A finding says which secret, in which form, and where; never the bytes.

What is read of a process: every readable mapping that may have been written to, through /proc/PID/mem, which takes root
(or ptrace rights). Left out are mappings of files that are not writable: they hold what the file holds. Limits: it is a
snapshot, page by page while the process runs; memfd_secret pages, registers and the kernel's buffers are out of reach.
What could not be read is named in `unreadable`, so that a test can say what it expects there.

A scan that finds nothing proves nothing until one that must find something has found it: keep a control beside it.
"""

import base64
import os
import secrets
import string
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Secrets = Mapping[str, bytes]
"""Name of a secret, for the finding, to its bytes."""

SECRET_MAPPING = "/secretmem"
"""What the kernel calls memfd_secret pages in /proc/PID/maps."""
_WINDOW = 1 << 20
_EMPTY = bytes(_WINDOW)
_WORD = 8
_KERNEL = frozenset({"[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]"})
_HALF_FROM = 32
"""From this length on each half is looked for too: 16 bytes of a secret that was partly overwritten are no chance."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One finding: which secret, in which form, in which mapping or file, at which address or offset."""

    secret: str
    form: str
    where: str
    at: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a process; `scanned` in bytes; `unreadable` names the mappings that could not be read."""

    hits: tuple[Hit, ...]
    scanned: int
    unreadable: frozenset[str]


def canary() -> str:
    """Returns 40 random letters and digits: a secret that occurs nowhere by chance, and whose halves do not either."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def forms(secret: bytes) -> dict[str, bytes]:
    """Returns the forms in which a program leaves a secret behind: encodings, hex, base64 at each alignment, halves."""
    found = {"plain": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        pass  # Raw bytes: they have no text.
    else:
        found |= {name: text.encode(name) for name in ("utf-16-le", "utf-16-be", "utf-32-le")}
    for shift in range(3):
        # The characters that depend on this secret alone, whatever stands before and after it.
        first, last = -(-shift * 8 // 6), (shift + len(secret)) * 8 // 6
        encoded = base64.b64encode(bytes(shift) + secret)[first:last]
        found[f"base64+{shift}"] = encoded
        found[f"base64url+{shift}"] = encoded.translate(bytes.maketrans(b"+/", b"-_"))
    if len(secret) >= _HALF_FROM:
        middle = len(secret) // 2
        found |= {"first half": secret[:middle], "second half": secret[middle:]}
    return found


def _needles(wanted: Secrets) -> list[tuple[str, str, bytes]]:
    """Returns name, form and bytes; each byte string once."""
    unique = {needle: (name, form) for name, secret in wanted.items() for form, needle in reversed(forms(secret).items())}
    return [(name, form, needle) for needle, (name, form) in unique.items()]


def scan_bytes(data: bytes, wanted: Secrets, where: str = "bytes") -> list[Hit]:
    """Returns what is found in `data`."""
    return list(_find(data, _needles(wanted), where, 0))


def _words(needles: list[tuple[str, str, bytes]]) -> frozenset[int]:
    """Returns words of 8 bytes of which each occurrence of a needle has one, wherever it begins.

    Empty where a needle is too short for that: then every window is looked at.
    """
    if min(len(needle) for _, _, needle in needles) < 2 * _WORD - 1:
        return frozenset()
    whole = (needle[start : start + _WORD] for _, _, needle in needles for start in range(_WORD))
    return frozenset(int.from_bytes(word, sys.byteorder) for word in whole)


def _may_hold(data: bytes, words: frozenset[int]) -> bool:
    """Says whether it is worth looking: a hundred times faster than to look for a hundred needles."""
    if not words:
        return True
    with memoryview(data)[: len(data) // _WORD * _WORD] as part, part.cast("Q") as found:
        return not words.isdisjoint(found)


def _find(data: bytes, needles: list[tuple[str, str, bytes]], where: str, base: int) -> Iterable[Hit]:
    for name, form, needle in needles:
        at = data.find(needle)
        while at >= 0:
            yield Hit(name, form, where, base + at)
            at = data.find(needle, at + 1)


def scan_memory(pid: int, wanted: Secrets) -> Scan:
    """Returns what is found in the memory of process `pid`.

    Raises:
        PermissionError: We may not read it.
        ProcessLookupError: It is gone.
    """
    needles = _needles(wanted)
    words = _words(needles)
    overlap = max(len(needle) for _, _, needle in needles) - 1
    hits: dict[Hit, None] = {}
    scanned, unreadable = 0, set()
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for start, end, name in _mappings(pid):
            at, tail = start, b""
            while at < end:
                try:
                    data = os.pread(memory, min(_WINDOW, end - at), at)
                except OSError:
                    unreadable.add(name)
                    break
                if not data:
                    raise ProcessLookupError(f"process {pid} is gone")
                if data != _EMPTY[: len(data)] and _may_hold(tail + data, words):
                    hits |= dict.fromkeys(_find(tail + data, needles, name, at - len(tail)))
                at, scanned = at + len(data), scanned + len(data)
                tail = data[-overlap:]
    finally:
        os.close(memory)
    return Scan(tuple(hits), scanned, frozenset(unreadable))


def _mappings(pid: int) -> Iterable[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, permissions, _offset, _device, inode, *rest = line.split(maxsplit=5)
        name = rest[0] if rest else "anonymous"
        if not permissions.startswith("r") or name in _KERNEL or (inode != "0" and "w" not in permissions):
            continue
        start, end = (int(part, 16) for part in span.split("-"))
        yield start, end, name.removesuffix(" (deleted)")


def scan_arguments(pid: int, wanted: Secrets) -> list[Hit]:
    """Returns what is found in the arguments and the environment of process `pid`."""
    return [
        hit
        for name in ("cmdline", "environ")
        for hit in scan_bytes(Path(f"/proc/{pid}/{name}").read_bytes(), wanted, name)
    ]


def scan_files(root: Path, wanted: Secrets) -> list[Hit]:
    """Returns what is found in the regular files below `root`, and in their names."""
    hits: list[Hit] = []
    for path in sorted(root.rglob("*")):
        hits += scan_bytes(os.fsencode(path.name), wanted, f"name of {path.parent}")
        if path.is_file() and not path.is_symlink():
            hits += scan_bytes(path.read_bytes(), wanted, str(path))
    return hits
