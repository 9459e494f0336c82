"""The unit files of a system installation: where they are, what is put into them, and whether others can run it.

Threat: who can write the interpreter, a package or a directory above them is the keyholder. Measure: everything that
the units will run belongs to root and is writable by root alone, or it is not installed. Limit: it is looked at when
it is installed; what an administrator changes later is his.
"""

import importlib.util
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.files import write_whole

MARK = "# Written by vaultctl system install. Yours are drop-ins: systemctl edit "
TARGETS = {
    "system": Path("/etc/systemd/system"),
    "sysusers.d": Path("/etc/sysusers.d"),
    "tmpfiles.d": Path("/etc/tmpfiles.d"),
}
SYSUSERS, TMPFILES = TARGETS["sysusers.d"] / "vaultd.conf", TARGETS["tmpfiles.d"] / "vaultd.conf"
ENABLED = (
    "vaultd.socket",
    "vaultd-metrics.socket",
    "vaultd-unlock.socket",
    "vaultd-link.socket",
    "vaultd-credentials.socket",
    "vaultd-keyholder.service",
    "vaultd.service",
)
"""In the order of starting."""
HIDDEN = tuple(Path(each) for each in ("/home", "/root", "/run/user", "/tmp", "/var/tmp", "/mnt", "/media", "/srv"))  # noqa: S108 - what the units do not see
NOBODY = 65_534
_PLAIN = re.compile(r"[\w/.+:@-]+")
_IMPORTS = "import vaultd.server.main, vaultd.keyholder.run"
_SYSTEM_DIRECTORIES = (Path("/usr"), Path("/lib"), Path("/lib64"))


@dataclass(frozen=True, slots=True)
class File:
    """One file of the installation."""

    path: Path
    text: str

    def state(self) -> str:
        """Returns `missing`, `same`, `old`, or `foreign` for one that is not ours to replace."""
        try:
            facts = self.path.lstat()
            found = self.path.read_text(encoding="utf-8") if stat.S_ISREG(facts.st_mode) else ""
        except FileNotFoundError:
            return "missing"
        except (OSError, UnicodeDecodeError):
            return "foreign"
        if found == self.text:
            return "same"
        return "old" if found.startswith(MARK) else "foreign"

    def write(self) -> None:
        """Puts it in place, whole or not at all."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(self.path, self.text.encode(), overwrite=True, mode=0o644)


def files() -> list[File]:
    """Returns every file of the installation, as it should be for the interpreter that runs this.

    Raises:
        Failure: The daemon is not installed beside this program.
    """
    source = _source()
    places = {"@BIN@": str(_programs()), "@EXEC_PATHS@": " ".join(str(path) for path in code_directories())}
    made = []
    for kind, target in TARGETS.items():
        for path in sorted((source / kind).iterdir()):
            text = path.read_text(encoding="utf-8")
            for mark, value in places.items():
                text = text.replace(mark, value)
            made.append(File(target / path.name, f"{MARK}{path.name}\n{text}"))
    return made


def _source() -> Path:
    # Found, not imported: the client never loads the daemon.
    found = importlib.util.find_spec("vaultd")
    packages = [Path(each) for each in (found.submodule_search_locations or ())] if found else []
    # In a wheel they are inside the package, in a checkout beside it.
    for directory in (each for package in packages for each in (package / "systemd", package.parent / "systemd")):
        if all((directory / kind).is_dir() for kind in TARGETS):
            return directory
    raise Failure("the daemon is not installed beside vaultctl", "pip install vaultd, into the same environment")


def _programs() -> Path:
    return Path(sys.executable).parent


def code_directories() -> list[Path]:
    """Returns the directories that code is loaded from, but for those of the system itself."""
    wanted = [Path(sys.prefix), Path(sys.base_prefix), *_search_path()]
    found: list[Path] = []
    for path in (each.resolve() for each in wanted):
        if not any(path.is_relative_to(other) for other in (*_SYSTEM_DIRECTORIES, *found)):
            found.append(path)
    return found


def _search_path() -> list[Path]:
    """Returns where modules are looked for, without the program's or the present directory, which Python puts first."""
    entries = sys.path if sys.flags.safe_path else sys.path[1:]
    return [Path(each) for each in entries if Path(each).is_dir()]


def trouble() -> str:
    """Returns why other users cannot run this installation, or should not; the empty string where they can."""
    program = _programs() / "vaultd"
    if not program.exists():
        return f"there is no {program}"
    interpreter = Path(sys.executable).resolve()
    odd = next((path for path in (program, *code_directories()) if not _PLAIN.fullmatch(str(path))), None)
    if odd is not None:
        return f"{odd} has a character that would mean something else in a unit file"
    for path in (interpreter, program, *code_directories()):
        for above in (*reversed(path.parents), path):
            problem = _problem(above)
            if problem:
                return problem
        hidden = next((each for each in HIDDEN if path.is_relative_to(each)), None)
        if hidden is not None:
            return f"{path} is below {hidden}, which the units do not see"
    return _below(_loaded_from()) or (_tried(interpreter) if os.geteuid() == 0 else "")


def _loaded_from() -> list[Path]:
    """Returns the directories that hold what is loaded; unlike `code_directories`, those of the system too."""
    environment = [Path(sys.prefix)] if sys.prefix != sys.base_prefix else []  # /usr as a whole is none of ours
    daemon = importlib.util.find_spec("vaultd")  # an editable installation is on no path
    packages = [Path(each) for each in (daemon.submodule_search_locations or ())] if daemon else []
    return [each.resolve() for each in (*environment, *_search_path(), *packages)]


def _below(directories: list[Path]) -> str:
    """Says what in the directories another user than root could change; a link counts as what it leads to."""
    waiting, seen = list(directories), set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            waiting += [path.resolve()] if path.exists() else []
        elif facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{path} is writable by others than root (mode {stat.S_IMODE(facts.st_mode):04o})"
        if facts.st_uid != 0:
            return f"{path} belongs to uid {facts.st_uid}, who could change what the keyholder runs"
        if stat.S_ISDIR(facts.st_mode):
            waiting += path.iterdir()
    return ""


def _problem(path: Path) -> str:
    facts = path.stat()
    if not facts.st_mode & stat.S_IXOTH:
        return f"{path} is closed to other users (mode {stat.S_IMODE(facts.st_mode):04o})"
    if facts.st_uid != 0:
        return f"{path} belongs to uid {facts.st_uid}, who could change what the keyholder runs"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not facts.st_mode & stat.S_ISVTX:
        return f"{path} is writable by others than root (mode {stat.S_IMODE(facts.st_mode):04o})"
    return ""


def _tried(interpreter: Path) -> str:
    """Has nobody load what the units will load: a single file that is closed would fail them."""
    command = [sys.executable, "-P", "-c", _IMPORTS]
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "cwd": "/", "env": {"PATH": os.defpath}}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]  # noqa: S603 - our own interpreter
    except OSError as error:
        return f"another user cannot run {interpreter}: {os.strerror(error.errno or 0)}"
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return f"another user cannot load vaultd: {last}" if done.returncode else ""


def run(*command: str) -> None:
    """Runs a command of the system; Failure with what it said where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed", "vaultctl system needs systemd", code=ExitCode.NOT_FOUND) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        text = f"{' '.join(command)} failed: {said[-1] if said else f'exit code {done.returncode}'}"
        raise Failure(text, "journalctl --boot --unit 'vaultd*'", code=ExitCode.INTERNAL, reason="system")


def answer(*command: str) -> str:
    """Returns what a command of the system prints, whatever its exit code."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - fixed words
    except FileNotFoundError:
        return ""


def foreign(wanted: list[File]) -> Iterator[Path]:
    """Yields the paths that hold something that is not ours."""
    return (file.path for file in wanted if file.state() == "foreign")
