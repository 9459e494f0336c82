"""Starts the daemon: hardens itself, binds the sockets, starts the keyholder, and only then imports gRPC."""

import grp
import logging
import os
import sys
from pathlib import Path

import click

from vaultd import config as settings
from vaultd.errors import ConfigInvalidError, VaultError
from vaultd.keyholder.process import spawn
from vaultd.server.harden import harden_server
from vaultd.server.sockets import BoundSocket, adopt_systemd, bind_public

_HINTS = {
    "STORE_IN_USE": "is vaultd running already? see: vaultctl status",
    "SOCKET_OCCUPIED": "is vaultd running already? see: vaultctl status",
    "STORE_DAMAGED": "restore a backup, or move the file away to begin anew",
    "STORE_TOO_NEW": "install the newer vaultd again",
    "STORE_FULL": "make room on the disk",
    "STORE_UNAVAILABLE": "look at the store's directory: may this user write it, is its disk healthy",
}


@click.command()
@click.option("--system", is_flag=True, help="Use /run/vaultd and /var/lib/vaultd, as the systemd units do.")
@click.version_option(package_name="vaultd")
def main(*, system: bool) -> None:
    """Run the vault daemon in the foreground.

    Settings come from vaultd.toml and VAULTD_* variables; the README lists them. Stop it with Ctrl-C; the vault is
    locked then.
    """
    logging.basicConfig(format="vaultd: %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        _run(settings.load(system=system))
    except VaultError as error:
        hint = _HINTS.get(error.reason, "")
        click.echo(f"vaultd: {error.message}" + (f"\n  {hint}" if hint else ""), err=True)
        sys.exit(1)
    except OSError as error:
        # What no error of ours names, such as a host that has no process left to give.
        click.echo(f"vaultd: {error.filename or 'cannot start'}: {os.strerror(error.errno or 0)}", err=True)
        sys.exit(1)


def _run(config: settings.Config) -> None:
    harden_server()
    group = _group(config.unlock_group)
    _make_runtime(config.runtime_dir)
    public = adopt_systemd("vaultd.sock") or _bound(config.socket, 0o666, None)
    unlock = _bound(config.unlock_socket, 0o600 if group is None else 0o660, group)
    _check_directory(config.database.parent)
    process = spawn(unlock)
    # Threat: gRPC's core writes what it cannot parse of a stranger's headers to stderr, raw: lines of his own making in
    # the log, and whatever secret he sent by mistake. Measure: it writes nothing. Limit: nor does it say what troubles it.
    os.environ["GRPC_VERBOSITY"] = "NONE"
    from vaultd.server.main import run

    run(config, public, unlock, process)


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


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigInvalidError(f"there is no group {name}", fields={"unlock_group": "unknown"}) from None


if __name__ == "__main__":
    main()
