"""Modes and owners: of sockets, store, anchor, key file, settings, and the directories that they are in."""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from vaultd_client.doctor.finding import Finding, error, ok, skipped, warning
from vaultd_client.doctor.places import Places
from vaultd_client.errors import KeyFileError
from vaultd_client.keys import ClientKey

_OTHERS = 0o077
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def sockets(places: Places) -> Iterator[Finding]:
    """Who may connect. Write permission is what connecting takes (unix(7))."""
    directory = places.public.parent
    facts = _facts(directory)
    if facts is None:
        yield skipped("sockets", f"{directory} is not there: vaultd does not run")
        return
    fine = True
    if facts.st_mode & _WRITABLE or facts.st_uid not in {0, places.owner}:
        fine = False
        reason = f"others can put a socket of their own into {directory} and be told the passphrase"
        yield error("sockets", reason, _command(places, "chmod", "0755", directory))
    for path, forbidden, wanted in (
        (places.unlock, stat.S_IRWXO, 0o660),
        (places.unlock.with_name("link.sock"), _OTHERS, 0o600),
        (places.unlock.with_name("metrics.sock"), stat.S_IRWXO, 0o660),
    ):
        found = _facts(path)
        if found is not None and found.st_mode & forbidden:
            fine = False
            reason = f"{path} is open to others than it should be (mode {stat.S_IMODE(found.st_mode):04o})"
            yield error("sockets", reason, _command(places, "chmod", f"{wanted:04o}", path))
    found = _facts(places.public)
    if found is not None and found.st_mode & 0o222 != 0o222:
        fine = False
        reason = f"not every user can connect to {places.public}: bots of other users cannot"
        yield warning("sockets", reason, _command(places, "chmod", "0666", places.public))
    if fine:
        yield ok("sockets", f"in {directory}, each open to those who need it")


def store(places: Places) -> Iterator[Finding]:
    """Store and anchor are their owner's alone."""
    for name, directory in (("store", places.data), ("anchor", places.anchor)):
        yield from _private(places, name, directory)


def _private(places: Places, name: str, directory: Path) -> Iterator[Finding]:
    try:
        paths = [directory, *sorted(directory.iterdir())]
    except FileNotFoundError:
        yield skipped(name, f"{directory} is not there: no vault was made yet")
        return
    except PermissionError:
        paths = [directory]
    fine = True
    for path in paths:
        facts = _facts(path)
        if facts is None:
            continue  # a file of SQLite that has gone meanwhile
        mode = stat.S_IMODE(facts.st_mode)
        if mode & _OTHERS and (path == directory or facts.st_mode & _OTHERS):
            fine = False
            wanted = "0700" if stat.S_ISDIR(facts.st_mode) else "0600"
            yield error(name, f"{path} is open to others (mode {mode:04o})", _command(places, "chmod", wanted, path))
        if facts.st_uid != places.owner:
            fine = False
            reason = f"{path} belongs to uid {facts.st_uid}, not to uid {places.owner} that runs vaultd"
            yield error(name, reason, _command(places, "chown", str(places.owner), path))
    if fine and len(paths) == 1 and os.geteuid() not in {0, places.owner}:
        yield ok(name, f"{directory} is closed to this user, as it should be")
    elif fine:
        yield ok(name, f"{directory} and what is in it are their owner's alone")


def key_file(places: Places) -> Iterator[Finding]:
    """The key that signs this user's requests is his alone."""
    path = places.key
    facts = _facts(path)
    if facts is None:
        yield skipped("key file", f"there is none at {path}", "vaultctl client keygen, if this user is to sign requests")
        return
    mode = stat.S_IMODE(facts.st_mode)
    if mode & _OTHERS:
        yield error("key file", f"{path} is open to others (mode {mode:04o})", f"chmod 0600 {shlex.quote(str(path))}")
        return
    if facts.st_uid != os.geteuid():
        reason = f"{path} belongs to uid {facts.st_uid}, who can sign in this user's name"
        yield error("key file", reason, f"chown {os.geteuid()} {shlex.quote(str(path))}")
        return
    above = _facts(path.parent)
    if above is not None and above.st_mode & _WRITABLE and not above.st_mode & stat.S_ISVTX:
        yield error("key file", f"others can replace {path}", f"chmod go-w {shlex.quote(str(path.parent))}")
        return
    try:
        key = ClientKey.load(path)
    except KeyFileError as problem:
        yield error("key file", problem.message, problem.hint)
        return
    if key.vault is None:
        yield warning("key file", f"{path} pins no vault: whoever answers is believed", "vaultctl client pin")
        return
    yield ok("key file", f"{path} is this user's alone and pins its vault")


def settings(places: Places) -> Iterator[Finding]:
    """The settings are read as they are meant, and nobody else writes them."""
    if places.trouble:
        if places.trouble.startswith("closed"):
            yield skipped("settings", f"{places.settings} is {places.trouble}", "sudo vaultctl doctor")
        else:
            yield error("settings", f"{places.settings} {places.trouble}", f"mend or remove {places.settings}")
        return
    facts = _facts(places.settings)
    if facts is None:
        yield ok("settings", "none were made; the defaults hold")
    elif facts.st_mode & _WRITABLE or facts.st_uid not in {0, places.owner}:
        reason = f"others can change {places.settings}, and so where the vault is"
        yield error("settings", reason, _command(places, "chmod", "go-w", places.settings))
    else:
        yield ok("settings", f"{places.settings} is nobody else's to change")


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _command(places: Places, *words: object) -> str:
    command = shlex.join(str(word) for word in words)
    return f"sudo {command}" if places.system else command
