"""Starts the daemon: hardens itself, binds the sockets, starts the keyholder, and only then imports gRPC.

Where the keyholder is a unit of its own, it is started from here as well, and the server connects to it.
"""

import grp
import json
import logging
import os
import pwd
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from vaultd import config as settings
from vaultd.errors import ConfigInvalidError, VaultError
from vaultd.keyholder.process import Held, become, connect, spawn
from vaultd.server.harden import harden_server
from vaultd.server.sockets import BoundSocket, adopt_systemd, bind_public

_HINTS = {
    "STORE_IN_USE": "is vaultd running already? see: vaultctl status",
    "SOCKET_OCCUPIED": "is vaultd running already? see: vaultctl status",
    "STORE_DAMAGED": "restore a backup: vaultctl backup restore FILE --replace-vault; or move the file away to begin anew",
    "STORE_TOO_NEW": "install the newer vaultd again",
    "STORE_FULL": "make room on the disk",
    "STORE_UNAVAILABLE": "look at the store's directory: may this user write it, is its disk healthy",
}


@click.group(invoke_without_command=True)
@click.option("--system", is_flag=True, help="Use /run/vaultd and /var/lib/vaultd, as the systemd units do.")
@click.option("--keyholder", is_flag=True, help="Be the keyholder of a unit of its own, on the sockets of systemd.")
@click.version_option(package_name="vaultd")
@click.pass_context
def main(ctx: click.Context, *, system: bool, keyholder: bool) -> None:
    """Run the vault daemon in the foreground.

    Settings come from vaultd.toml and VAULTD_* variables; the README lists them. Stop it with Ctrl-C; the vault is
    locked then.
    """
    logging.basicConfig(format="vaultd: %(message)s", level=logging.INFO, stream=sys.stderr)
    ctx.obj = system
    if ctx.invoked_subcommand is not None:
        return
    try:
        config = settings.load(system=system)
        if keyholder:
            _become_keyholder(config)
        _run(config)
    except VaultError as error:
        hint = _HINTS.get(error.reason, "")
        click.echo(f"vaultd: {error.message}" + (f"\n  {hint}" if hint else ""), err=True)
        sys.exit(1)
    except OSError as error:
        # What no error of ours names, such as a host that has no process left to give.
        click.echo(f"vaultd: {error.filename or 'cannot start'}: {os.strerror(error.errno or 0)}", err=True)
        sys.exit(1)


@main.command()
@click.option("--over-newer", is_flag=True, help="Replace a store that has gone on since the backup.")
@click.option("--replace-vault", is_flag=True, help="Replace the store of another vault, or one that cannot be read.")
@click.pass_obj
def restore(system: bool, *, over_newer: bool, replace_vault: bool) -> None:  # noqa: FBT001  click's
    """Restore a backup from stdin; `vaultctl backup restore` does it for you."""
    from vaultd import restore as restoring

    try:
        config = settings.load(system=system)
        restoring.become_owner(config, _uid(config.server_user) if system and os.geteuid() == 0 else None)
        harden_server()
        done = restoring.restore(config, sys.stdin.buffer, over_newer=over_newer, replace_vault=replace_vault)
    except VaultError as error:
        click.echo(json.dumps(restoring.failure(error)))
        sys.exit(1)
    click.echo(json.dumps(restoring.document(done)))


def _become_keyholder(config: settings.Config) -> NoReturn:
    link, unlock = adopt_systemd("link.sock"), adopt_systemd("unlock.sock")
    if link is None or unlock is None:
        raise ConfigInvalidError("systemd passed no link.sock and unlock.sock; systemctl start vaultd-keyholder")
    become(_uid(config.server_user), link, unlock)


def _run(config: settings.Config) -> None:
    harden_server()
    _make_runtime(config.runtime_dir)
    public = adopt_systemd("vaultd.sock") or _bound(config.socket, 0o666, None)
    metrics: socket.socket | None = adopt_systemd("metrics.sock")
    if metrics is None and not config.system:
        # In system mode the directory is root's, so that nobody but systemd can put a socket there.
        metrics = _bound(config.metrics_socket, 0o600, None)
    credentials = adopt_systemd("credentials.sock")
    if credentials is None and config.credentials_socket is not None:
        credentials = _bound(config.credentials_socket, 0o600, None)
    _check_directory(config.database.parent)
    process: Held | None = None
    begin: Callable[[], Held]
    if config.keyholder_socket is None:
        group = _group(config.unlock_group)
        begin = partial(spawn, _bound(config.unlock_socket, 0o600 if group is None else 0o660, group))
        process = begin()
    else:
        begin = partial(connect, config.keyholder_socket, _uid(config.keyholder_user))
    # Threat: gRPC's core writes what it cannot parse of a stranger's headers to stderr, raw: lines of his own making in
    # the log, and whatever secret he sent by mistake. Measure: it writes nothing. Limit: nor does it say what troubles it.
    os.environ["GRPC_VERBOSITY"] = "NONE"
    # The thread that waits for gRPC's events reads the sockets itself: a call goes through one thread instead of four, a
    # quarter less processor time. A version of gRPC that has only the other way ignores this.
    os.environ["GRPC_EXPERIMENTS"] = "-event_engine_listener"
    import asyncio

    from vaultd.server.main import serve

    asyncio.run(serve(config, public, metrics, credentials, begin, process))


def _bound(path: Path, mode: int, group: int | None) -> BoundSocket:
    try:
        return bind_public(path, mode, gid=group)
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise ConfigInvalidError(f"{path} cannot be bound: {text}", fields={"runtime_dir": "cannot be used"}) from None


def _make_runtime(path: Path) -> None:
    """Makes what holds the directory of the sockets, which `bind_public` makes (0755: strangers may list masks).

    Threat: without a login session the directory is below /tmp, where anyone may have made it first. Measure: what
    holds it must be ours or root's.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.stat().st_uid not in (0, os.geteuid()):
            raise ConfigInvalidError(f"{path.parent} belongs to somebody else", fields={"runtime_dir": "is not ours"})
    except OSError:
        raise ConfigInvalidError(f"{path} cannot be made", fields={"runtime_dir": "cannot be made"}) from None


def _check_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        raise ConfigInvalidError(f"{path} cannot be made", fields={"data_dir": "cannot be made"}) from None


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ConfigInvalidError(f"there is no user {user}; vaultctl system install makes it") from None


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigInvalidError(f"there is no group {name}", fields={"unlock_group": "unknown"}) from None


if __name__ == "__main__":
    main()
