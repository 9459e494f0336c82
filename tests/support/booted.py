"""A real systemd, booted in namespaces of its own over a throw-away overlay of this host, with vaultd installed for it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import until

ROOT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot_systemd.sh")
PREFIX = Path("/opt/vaultd/venv")
SCRIPTS = {"vaultd": "vaultd.__main__", "vaultctl": "vaultd_client.cli.main"}
PASSPHRASE = "correct horse battery staple"


class Booted:
    """The booted host, seen from outside. Its commands run as root and in no unit unless something else is said."""

    power: "_Power"

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def reboot(self) -> None:
        """Cuts the power and boots again until vaultd serves: a bot may still wait. Needs `booted(disk=True)`."""
        self.power.off()
        self.pid = self.power.on("vaultd.service").pid

    def run(
        self,
        *command: str,
        user: str = "root",
        given: str | None = None,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in it, in a fresh environment."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        become = [] if user == "root" else ["runuser", "--user", user, "--"]
        variables = {"PATH": f"{PREFIX}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
        done = subprocess.run(
            [*enter, *become, *command],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            env={**variables, **(environment or {})},
            check=False,
            timeout=timeout,
            start_new_session=True,  # what a command there signals as its group is never this process
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal()}")
        return done

    def python(self, code: str, *arguments: str, user: str = "root") -> str:
        """Runs Python with vaultd's packages in it and returns what it printed."""
        return self.run(f"{PREFIX}/bin/python", "-c", textwrap.dedent(code), *arguments, user=user).stdout

    def vaultctl(self, *arguments: str, given: str | None = None, **options: Any) -> Any:
        """Runs `vaultctl --json` and returns its document."""
        return json.loads(self.run("vaultctl", "--json", *arguments, given=given, **options).stdout)

    def show(self, unit: str, name: str) -> str:
        """Returns one property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def unit(self, name: str, *command: str, user: str = "root", **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end as a system unit of that name."""
        run = ["systemd-run", f"--unit={name}", f"--uid={user}", "--wait", "--pipe", "--quiet", "--collect"]
        return self.run(*run, f"--setenv=PATH={PREFIX}/bin:/usr/bin:/bin", "--setenv=HOME=/tmp", *command, **options)

    def write(self, path: str, text: str, *, owner: str = "root", mode: str = "0644") -> None:
        """Writes a file in it."""
        self.run("install", "-D", f"--owner={owner}", f"--mode={mode}", "/dev/stdin", path, given=text)

    def state(self) -> str:
        """Returns the state of the vault."""
        return str(self.vaultctl("status")["state"])

    def journal(self, *arguments: str) -> str:
        """Returns the last lines of the journal."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid"]
        command = [*enter, "journalctl", "--no-pager", "--lines=30", "--unit=vaultd*", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def why_not() -> str:
    """Returns why no systemd can be booted here; the empty string where it can."""
    missing = [name for name in ("unshare", "nsenter", "systemd-run", "dbus-daemon") if shutil.which(name) is None]
    if os.getuid() != 0:
        return "needs root: it boots a systemd"
    if missing or not Path("/lib/systemd/systemd").exists():
        return f"needs util-linux, systemd and dbus; missing: {', '.join(missing) or 'systemd'}"
    if _interpreter() is None:
        return f"needs a Python {sys.version_info[0]}.{sys.version_info[1]} that other users can reach"
    if not any(line.split()[2] == "cgroup2" for line in Path("/proc/mounts").read_text().splitlines()):
        return "needs a cgroup2 mount"
    return ""


def _interpreter() -> Path | None:
    """Returns an interpreter for which our dependencies were built, and that every user can run."""
    own = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    for path in (own, Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")):
        if path.exists() and all(parent.stat().st_mode & 0o001 for parent in path.parents):
            return path
    return None


@contextmanager
def booted(*, disk: bool = False) -> Iterator[Booted]:
    """Boots; skips the test, and says why, where that is impossible. With a `disk` it can be rebooted."""
    problem = why_not()
    if problem:
        pytest.skip(problem)
    # Not below pytest's own directory, which is 0700: other users' processes must reach it.
    work = Path(tempfile.mkdtemp(prefix="vaultd-boot-"))
    work.chmod(0o755)
    _install(work / "source")
    (work / "m").mkdir()
    if disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", str(work / "m")], check=True)
    power = _Power(work)
    try:
        machine = power.on()
        machine.power = power
        yield machine
    finally:
        power.off()
        if disk:
            subprocess.run(["umount", str(work / "m")], check=True)
        shutil.rmtree(work)


class _Power:
    """The switch of a booted host. Off is what a power cut is."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None

    def on(self, unit: str = "") -> Booted:
        """Boots; returns when systemd says that it runs, or that a unit does."""
        with (self._work / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(BOOT), str(self._work), str(self._work / "source"), sysconfig.get_path("purelib")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return _booted(self._process, self._work, unit)

    def off(self) -> None:
        """Ends every process of it."""
        if self._process is not None:
            # unshare's --kill-child takes PID 1 along, and with it everything in the namespace.
            self._process.kill()
            self._process.wait(30)
        _sweep(self._work)
        self._process = None


def _booted(process: "subprocess.Popen[bytes]", work: Path, unit: str) -> Booted:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    machine = Booted(0)

    def running() -> bool:
        if process.poll() is not None:
            said = (work / "log").read_text().strip()[-300:]
            # Nothing else is a reason to skip: it would hide that the boot itself is broken.
            assert "not permitted" in said.lower() or "permission denied" in said.lower(), said
            pytest.skip(f"this kernel lets no systemd boot: {said}")
        found = children.read_text().split()
        if not found:
            return False
        machine.pid = int(found[0])
        try:
            if Path(f"/proc/{machine.pid}/comm").read_text().strip() != "systemd":
                return False
        except (FileNotFoundError, ProcessLookupError):
            return False  # One of the helpers of the script, which has ended since.
        asked = ("is-active", unit) if unit else ("is-system-running",)
        return machine.run("systemctl", *asked, check=False).stdout.strip() in ("running", "degraded", "active")

    until(running, 60.0)
    return machine


def _install(source: Path) -> None:
    """Lays vaultd out as a wheel does, in a virtual environment that every user can reach."""
    subprocess.run([str(_interpreter()), "-m", "venv", "--without-pip", str(source / "venv")], check=True)
    code = source / "code"
    for package in (ROOT / "vaultd", ROOT / "client/vaultd_client", ROOT / "client/vaultd_api"):
        shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "systemd", code / "vaultd" / "systemd")
    # As an installer does. The mount is read-only: without it every start of every program would compile all of it.
    subprocess.run([str(_interpreter()), "-m", "compileall", "-q", str(code)], check=True)
    (source / "deps").mkdir()
    site = next((source / "venv" / "lib").glob("python3*")) / "site-packages"
    (site / "vaultd.pth").write_text("/opt/vaultd/code\n/opt/vaultd/deps\n")
    for name, module in SCRIPTS.items():
        script = source / "venv" / "bin" / name
        script.write_text(f"#!{PREFIX}/bin/python\nfrom {module} import main\nmain()\n")
        script.chmod(0o755)
    for path in source.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _sweep(work: Path) -> None:
    if (work / "cgroup").exists():
        groups = Path((work / "cgroup").read_text().strip())
        until(lambda: _removed(groups))
        (work / "cgroup").unlink()


def _removed(groups: Path) -> bool:
    """Removes the control groups that the boot has made, once the last process of each is gone."""
    try:
        for directory in sorted((path for path in groups.rglob("*") if path.is_dir()), reverse=True):
            directory.rmdir()
        groups.rmdir()
    except OSError:
        return False
    return True
