"""`vaultctl render`: a template with its values, on stdout or in a file that nobody else may read."""

import os
import stat
import sys
from pathlib import Path

import click

from vaultd_client import references
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.revealing import Revealer, template
from vaultd_client.cli.session import Command, Session
from vaultd_client.files import MEMORY, file_system, write_whole

_OTHERS = 0o077


@click.command(cls=Command)
@click.argument("path", metavar="TEMPLATE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write this file, mode 0600; stdout if left out.")
@click.option(
    "--format",
    "form",
    type=click.Choice(references.FORMATS),
    help="How values are quoted; the template's name says it where left out.",
)
@click.option("--show", is_flag=True, help="Print it even where stdout is a terminal.")
@click.pass_obj
def render(session: Session, *, path: str, output: Path | None, form: str | None, show: bool) -> None:
    """Fill a template with values.

    Each reference in TEMPLATE (- is stdin) is replaced:

    \b
      {"api_key": "vaultd://binance-main/read/api_key",
       "memo": "{{ vaultd://my account/write/extra.memo }}"}

    Values are quoted as JSON, YAML or .env ask, so that none of them ends its string. The file is written whole or not
    at all, and never where others may read it.
    """  # noqa: D301 - the backspace is click's
    text, known = template(path, form)
    if output is None:
        _check_stdout(session, show=show)
    else:
        _check_output(output)
    with session.client() as client:
        rendered = Revealer(client).rendered(path, text, known)
    if output is None:
        session.terminal.plaintext(rendered, end="")
        return
    try:
        write_whole(output, bytearray(rendered, "utf-8"), overwrite=True)
    except OSError as error:
        raise _refused(output, f"cannot be written: {error.strerror}", "choose another path") from None
    if file_system(output, Path("/proc/self/mountinfo").read_bytes()) not in MEMORY:
        session.terminal.warn(f"{output} is on a disk, and stays there; vaultctl run feeds a bot without one")
    document = {"output": str(output), "references": len(references.find(text, path))}
    session.terminal.result(document, f"{output}: {document['references']} references, readable by you alone")


def _check_stdout(session: Session, *, show: bool) -> None:
    if session.terminal.results_are_seen and not show:
        raise Failure("stdout is a terminal, where plaintext would stay", "write a file with --output, or add --show")
    facts = os.fstat(sys.stdout.fileno())
    if stat.S_ISREG(facts.st_mode) and stat.S_IMODE(facts.st_mode) & _OTHERS:
        raise Failure(
            f"stdout is a file that others may read ({stat.S_IMODE(facts.st_mode):04o})",
            "let vaultctl make it: --output FILE",
            code=ExitCode.INVALID,
            reason="readable_by_others",
        )


def _check_output(output: Path) -> None:
    """Refuses a file or a directory through which another could read or change what is written."""
    try:
        facts = os.lstat(output)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(output, f"cannot be written: {error.strerror}", "choose another path") from None
    else:
        if not stat.S_ISREG(facts.st_mode):
            raise _refused(output, "is there and is no file", "remove it, or choose another path")
        if facts.st_uid != os.geteuid():
            raise _refused(output, f"belongs to uid {facts.st_uid}", "choose another path")
        if stat.S_IMODE(facts.st_mode) & _OTHERS:
            mode = stat.S_IMODE(facts.st_mode)
            raise _refused(output, f"may be read or changed by others ({mode:04o})", f"chmod 600 {output}")
    try:
        above = os.stat(output.parent)
    except OSError as error:
        raise _refused(output.parent, f"cannot be used: {error.strerror}", "choose another path") from None
    if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
        raise _refused(output.parent, "is a directory that others may change", "choose another directory")


def _refused(path: Path, text: str, hint: str) -> Failure:
    return Failure(f"{path} {text}", hint, code=ExitCode.INVALID, reason="readable_by_others")
