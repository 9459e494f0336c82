"""`vaultctl metrics`: on stdout, or as a file for node_exporter's textfile collector."""

import os
from pathlib import Path

import click

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Command, Session
from vaultd_client.errors import NotRunningError, TimedOutError
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
    """Writes a file by way of one beside it; the collector reads *.prom, and so never half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            # Exclusively: in a directory of others, a file that lies there already is not ours to write.
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)  # whatever the umask: node_exporter is another user
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = os.strerror(error.errno or 0).lower()
        hint = "name a file in a directory that this user may write"
        raise Failure(f"{path}: {problem}", hint, code=ExitCode.INVALID, reason="textfile") from None
