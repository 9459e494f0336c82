"""`vaultctl system`: vaultd as two systemd services, for a host on which bots run as users of their own."""

import grp
import os
import pwd
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from vaultd_client import paths, unattended
from vaultd_client.cli import prompts, units
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Group, Session
from vaultd_client.cli.terminal import table
from vaultd_client.listener import KEYHOLDER_USER, listener_uid

_USERS = (KEYHOLDER_USER, "vaultd")
_GROUP = "vaultd-admin"
_GROUPS = (_GROUP, "vaultd-metrics")
_DATA = (Path("/var/lib/vaultd"), Path("/var/lib/vaultd-anchor"), Path("/etc/vaultd"))
_RUNTIME = paths.SYSTEM_RUNTIME_DIR
_SOCKETS = {
    "vaultd.sock": 0o666,
    "unlock.sock": 0o660,
    "link.sock": 0o600,
    "metrics.sock": 0o660,
    "credentials.sock": 0o600,
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing to do: what is told of it, and how it is done."""

    text: str
    do: Callable[[], None]


@click.group(cls=Group)
def system() -> None:
    """The daemon as a service of this host (systemd, as root)."""


_dry_run = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")


@system.command()
@_dry_run
@click.pass_obj
def install(session: Session, *, dry_run: bool) -> None:
    """Put units, users and directories in place, and start them.

    Run it again after an upgrade: the server is restarted, the vault stays unlocked. Your own settings of a unit belong
    in drop-ins (systemctl edit vaultd), which stay.
    """
    wanted = units.files()
    _refuse_foreign(wanted)
    problem = units.trouble()
    if problem:
        hint = "sudo python3 -m venv /opt/vaultd, install vaultd and vaultd-client there, and run its bin/vaultctl"
        raise Failure(f"the services could not run: {problem}", hint, code=ExitCode.INVALID, reason="unreachable")
    _do(session, list(_install(wanted)), dry_run=dry_run)
    if not dry_run and not session.terminal.json:
        session.terminal.note(f"Let yourself unlock: sudo usermod --append --groups {_GROUP} $USER, and log in again.")
        session.terminal.note("Next: vaultctl init")


def _install(wanted: list[units.File]) -> Iterator[_Step]:
    for file in wanted:
        state = file.state()
        if state != "same":
            yield _Step(f"{'write' if state == 'missing' else 'replace'} {file.path}", file.write)
    yield _command("systemd-sysusers", str(units.SYSUSERS))
    yield _command("systemd-tmpfiles", "--create", str(units.TMPFILES))
    yield _command("systemctl", "daemon-reload")
    if units.answer("systemctl", "is-active", "vaultd.service") == "active":
        # The server alone: the keyholder has the keys.
        yield _command("systemctl", "restart", "vaultd.service")
    yield _command("systemctl", "enable", "--now", *units.ENABLED)


@system.command()
@_dry_run
@click.option("--purge", is_flag=True, help="Also remove the vault, its settings, users and group. It cannot be undone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def uninstall(session: Session, *, dry_run: bool, purge: bool, yes: bool) -> None:
    """Stop the services and take away what `install` has put in place.

    The vault stays in /var/lib/vaultd, unless --purge is given.
    """
    _refuse_foreign(units.files())
    if purge and not (yes or dry_run):
        prompts.must_confirm("Remove the vault with every key in it, for good?")
    _do(session, list(_uninstall(units.files(), purge=purge)), dry_run=dry_run)
    if not purge and not session.terminal.json:
        session.terminal.note(f"What is left: {', '.join(str(path) for path in _DATA if path.exists()) or 'nothing'}")


def _uninstall(wanted: list[units.File], *, purge: bool) -> Iterator[_Step]:
    present = [file for file in wanted if file.state() in ("same", "old")]
    installed = [file.path.name for file in present if file.path.parent == units.TARGETS["system"]]
    if installed:
        yield _command("systemctl", "disable", "--now", *installed)
    for file in present:
        yield _Step(f"remove {file.path}", file.path.unlink)
    if installed:
        yield _command("systemctl", "daemon-reload")
    for path in (_RUNTIME, *(_DATA if purge else ())):
        if path.exists():
            yield _Step(f"remove {path}", partial(shutil.rmtree, path))
    if purge and unattended.CREDENTIAL.exists():
        yield _Step(f"remove {unattended.CREDENTIAL}", unattended.CREDENTIAL.unlink)
    if purge:
        for user in filter(partial(_known, pwd.getpwnam), _USERS):
            yield _command("userdel", user)
        for group in filter(partial(_known, grp.getgrnam), _GROUPS):
            yield _command("groupdel", group)


@system.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say whether the installation is as it should be.

    Ends with 9 where it is not.
    """
    session = ctx.ensure_object(Session)
    found = list(_checks())
    good = all(ok for _, ok, _ in found)
    document = {"ok": good, "checks": [{"name": name, "ok": ok, "detail": detail} for name, ok, detail in found]}
    rows = [(name, "ok" if ok else "WRONG", detail) for name, ok, detail in found]
    session.terminal.result(document, table(("CHECK", "RESULT", "DETAIL"), rows))
    if not good:
        session.terminal.note("sudo vaultctl system install puts files, users and units right again.")
        ctx.exit(ExitCode.CONFLICT)


def _checks() -> Iterator[tuple[str, bool, str]]:
    problem = units.trouble()
    yield "interpreter", not problem, problem or "every user can reach it, root alone can change it"
    for file in units.files():
        state = file.state()
        yield str(file.path), state == "same", {"same": "as installed", "old": "of another version"}.get(state, state)
    for user in _USERS:
        known = _known(pwd.getpwnam, user)
        yield f"user {user}", known, "there" if known else "missing"
    for group in _GROUPS:
        known = _known(grp.getgrnam, group)
        yield f"group {group}", known, "there" if known else "missing"
    for unit in units.ENABLED:
        enabled, active = (units.answer("systemctl", verb, unit) for verb in ("is-enabled", "is-active"))
        yield unit, (enabled, active) == ("enabled", "active"), f"{enabled or 'unknown'}, {active or 'unknown'}"
    yield from _socket_checks()


def _socket_checks() -> Iterator[tuple[str, bool, str]]:
    try:
        facts = _RUNTIME.stat()
    except FileNotFoundError:
        yield str(_RUNTIME), False, "missing"
        return
    safe = facts.st_uid == 0 and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    yield str(_RUNTIME), safe, "root's alone" if safe else "others may put a socket there"
    for name, mode in _SOCKETS.items():
        path = _RUNTIME / name
        found = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        yield str(path), found == mode, "missing" if found is None else f"mode {found:04o}"
    if os.geteuid() == 0 and (_RUNTIME / "unlock.sock").exists() and _known(pwd.getpwnam, KEYHOLDER_USER):
        uid = _listener(_RUNTIME / "unlock.sock")
        right = uid in (0, pwd.getpwnam(KEYHOLDER_USER).pw_uid)
        yield "who hears the passphrase", right, "nobody" if uid is None else f"uid {uid}"


def _listener(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.fspath(path))
        except OSError:
            return None
        return listener_uid(connection)


def _refuse_foreign(wanted: list[units.File]) -> None:
    found = next(units.foreign(wanted), None)
    if found is not None:
        raise Failure(
            f"{found} was not written by vaultctl; nothing was changed",
            "move it away if it is not needed; your own settings belong in a drop-in: systemctl edit",
            code=ExitCode.CONFLICT,
            reason="foreign_file",
        )


def _do(session: Session, steps: list[_Step], *, dry_run: bool) -> None:
    if not dry_run:
        if os.geteuid() != 0:
            raise Failure("it changes the system, and needs root", "sudo vaultctl system ..., or add --dry-run")
        if not Path("/run/systemd/system").is_dir():
            raise Failure("this host does not run systemd", "vaultd, without --system, needs none")
        with session.terminal.working("Working"):
            for step in steps:
                step.do()
    texts = [step.text for step in steps]
    session.terminal.result({"dry_run": dry_run, "steps": texts}, *(f"{'would ' if dry_run else ''}{each}" for each in texts))


def _command(*command: str) -> _Step:
    return _Step(f"run {' '.join(command)}", lambda: units.run(*command))


def _known(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True
