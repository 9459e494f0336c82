"""What a bot is fed, and becoming the program that starts it (`launch.py`).

The ways, the one that exposes least first:

1. `Descriptor`: a sealed memory file that the bot opens as /dev/fd/N, as often as it likes. No path leads to it, it is
   never written to a disk, and it is gone with the bot.
2. `Stdin`: the same memory file as the bot's stdin.
3. `Cover` and `Shadow`: a file at the path where the bot insists on finding it, on a tmpfs that only the bot sees and
   that is gone with it. Not a file under XDG_RUNTIME_DIR that somebody must remove: whoever must may be killed.
4. `Environment`: what /proc/PID/environ shows to the same user and every grandchild inherits. Asked for by name only.

Threat: the secret stays behind, or is seen on the way, in arguments, environment, a file or the memory of a parent.
Measure: it leaves this process only in memory files; then this process becomes another program. Limit: a process of the
same user can read the bot's memory, its descriptors and its mounts through /proc; swap may hold pages of a memory file.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

_LAUNCH = str(Path(__file__).with_name("launch.py"))
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_FIRST_DESCRIPTOR = 64
"""Out of the way of scripts, which use single digits, of bash, which counts down from 63, and of a closed stdin."""
PLACE = "{feed}"
"""Stands in a command for the path of the memory file."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A file at /dev/fd/N, whose path takes the place of `{feed}` or is appended after `options`."""

    content: bytes = field(repr=False)
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stdin:
    """The bot's stdin."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cover:
    """A file over the one at `path`, which is there."""

    path: Path
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Files in the directory at `path`, beside what is there; a name that ends with a slash is an empty directory."""

    path: Path
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment variables."""

    variables: Mapping[str, str] = field(repr=False)


Way = Descriptor | Stdin | Cover | Shadow | Environment


@dataclass(frozen=True, slots=True)
class Feed:
    """What a bot is given: the ways, and the command with what its profile added."""

    command: Sequence[str]
    ways: Sequence[Way]


def private_mounts_fault() -> str:
    """Returns why this user cannot have private mounts here; empty where it can."""
    command = [sys.executable, "-I", "-S", _LAUNCH, "probe"]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8", errors="replace")  # noqa: S603
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def sealed(content: bytes, name: str = "vaultd") -> int:
    """Returns the descriptor of a memory file that nobody can change any more. memfd_create(2), fcntl(2)."""
    made = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    os.close(made)
    os.fchmod(descriptor, 0o400)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def inheritable() -> frozenset[int]:
    """Returns the descriptors that a program started now would inherit: those of whoever started us."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that listed them
            if os.get_inheritable(int(name)):
                found.add(int(name))
    return frozenset(found)


def become(feed: Feed, inherited: frozenset[int], *, supervise: bool = True) -> NoReturn:
    """Becomes the program that starts the bot. Everything of this process but its memory files is gone.

    Args:
        feed: What the bot is given.
        inherited: What `inheritable` said before anything was opened: the bot gets these and no others.
        supervise: True keeps a parent that passes signals on and says how the bot ended; False becomes the bot itself.
    """
    command = list(feed.command)
    steps: list[dict[str, object]] = []
    made: set[int] = set()
    for way in feed.ways:
        if isinstance(way, Shadow):
            fds = [sealed(content) for content in way.files.values()]
            made.update(fds)
            steps.append({"way": "shadow", "path": str(way.path), "names": list(way.files), "fds": fds})
            continue
        content = json.dumps(dict(way.variables)).encode() if isinstance(way, Environment) else way.content
        number = sealed(content)
        made.add(number)
        step: dict[str, object] = {"way": type(way).__name__.lower(), "fds": [number]}
        if isinstance(way, Cover):
            step["path"] = str(way.path)
        if isinstance(way, Descriptor):
            command = _placed(command, way, f"/dev/fd/{number}")
        steps.append(step)
    plan = sealed(json.dumps({"steps": steps, "supervise": supervise}).encode())
    wanted = inherited | made | {plan}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that listed them
            os.set_inheritable(int(name), int(name) in wanted)
    sys.stdout.flush()
    sys.stderr.flush()
    # -I: neither PYTHONPATH nor the current directory decides what this interpreter runs; the bot's environment is
    # what it was.
    os.execv(sys.executable, [sys.executable, "-I", "-S", _LAUNCH, str(plan), *command])  # noqa: S606


def _placed(command: Sequence[str], way: Descriptor, path: str) -> list[str]:
    if way.options:
        return [*command, *way.options, path]
    return [each.replace(PLACE, path) for each in command]
