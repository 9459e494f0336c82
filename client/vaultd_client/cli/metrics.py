"""`vaultctl metrics`: on stdout, or as a file for node_exporter's textfile collector."""

import os
from pathlib import Path

import click

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Command, Session
from vaultd_client.errors import NotRunningError, TimedOutError
from vaultd_client.files import write_whole
from vaultd_client.metrics import read

_DOWN = "# HELP vaultd_up 1 where vaultd answers.\n# TYPE vaultd_up gauge\nvaultd_up 0\n"


@click.command(cls=Command)
@click.option("--textfile", type=click.Path(path_type=Path), help="Write them there, whole or not at all: for node_exporter.")
@click.pass_obj
def metrics(session: Session, *, textfile: Path | None) -> None:
    """Print the metrics of vaultd, as Prometheus reads them.

    State, requests by outcome, latency, denials, sizes. Nothing in them names an exchange or a client. Where vaultd does
    not answer, --textfile writes vaultd_up 0 all the same: old numbers must not look like new ones.
    """
    try:
        text = read()
    except (NotRunningError, TimedOutError):
        if textfile is not None:
            _replace(textfile, _DOWN)
        raise
    if textfile is None:
        session.terminal.result({"text": text}, *text.splitlines())
    else:
        _replace(textfile, text)
        session.terminal.result({"textfile": str(textfile)}, f"Written to {textfile}.")


def _replace(path: Path, text: str) -> None:
    """Writes a file whole; the collector reads *.prom, and so never half of it."""
    try:
        write_whole(path, text.encode(), overwrite=True, mode=0o644)  # node_exporter is another user
    except OSError as error:
        problem = os.strerror(error.errno or 0).lower()
        hint = "name a file in a directory that this user may write"
        raise Failure(f"{path}: {problem}", hint, code=ExitCode.INVALID, reason="textfile") from None
