"""The root of the command tree, and the one place where errors become a line, a hint and an exit code."""

import errno
import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from vaultd_client.cli import (
    audit,
    backup,
    clients,
    completion,
    doctor,
    exchange,
    import_,
    kinds,
    metrics,
    quickstart,
    render,
    reveal,
    setup,
    slots,
    streams,
    system,
    unit,
    vault,
    waiting,
)
from vaultd_client.cli import run as run_command
from vaultd_client.cli.exit_codes import ExitCode, epilog, exit_code
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Group, Session, json_option
from vaultd_client.cli.terminal import Terminal
from vaultd_client.dumps import forbid_dumps
from vaultd_client.errors import VaultClientError

PROGRAM = "vaultctl"


def _version() -> str:
    try:
        return version("vaultd-client")
    except PackageNotFoundError:  # run from the sources, not installed
        return "unknown"


@click.group(
    cls=Group,
    params=[json_option("Print one JSON document on stdout, errors too; also allowed after the command.")],
    epilog=epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(_version(), prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.option("--socket", type=click.Path(path_type=Path), help="Public socket, instead of the one that is found.")
@click.option("--unlock-socket", type=click.Path(path_type=Path), help="Unlock socket, instead of the one beside it.")
@click.option("--key", type=click.Path(path_type=Path), help="Key file to sign with, instead of the usual one.")
@click.make_pass_decorator(Session, ensure=True)
def vaultctl(session: Session, *, socket: Path | None, unlock_socket: Path | None, key: Path | None) -> None:
    """Keeps exchange API keys in a local vault, and says who may read them.

    First steps: `vaultctl quickstart` shows everything on a throw-away vault; `vaultctl init` makes a real one.

    Secrets are asked for without echo, or read from a file descriptor (0 is stdin); never from an argument or the
    environment. VAULTD_RUNTIME_DIR, VAULTD_SOCKET, VAULTD_UNLOCK_SOCKET and VAULTD_KEY name other places.
    """
    session.socket, session.unlock_socket, session.key = socket, unlock_socket, key


for command in (
    setup.init,
    vault.unlock,
    vault.lock,
    vault.status,
    waiting.wait_unlocked,
    doctor.doctor,
    metrics.metrics,
    exchange.exchange,
    import_.import_,
    clients.client,
    reveal.reveal,
    run_command.run,
    render.render,
    slots.slot,
    slots.passphrase,
    slots.master_key,
    audit.audit,
    backup.backup,
    audit.who,
    system.system,
    unit.unit,
    kinds.kinds,
    quickstart.quickstart,
    completion.completion,
):
    vaultctl.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Runs one command.

    Args:
        arguments: What follows the program's name.

    Returns:
        The exit code, after what went wrong was shown.
    """
    session = Session()
    ours = takewhile(lambda argument: argument != "--", arguments)  # what follows may be a bot's
    session.terminal.json = "--json" in ours  # an error of usage comes before the option is parsed
    try:
        returned = vaultctl.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=session)
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except Failure as failure:
        document = _document(failure.reason, failure.text, failure.fields, failure.hint)
        return _report(session.terminal, document, failure.code)
    except click.UsageError as usage:
        path = usage.ctx.command_path if usage.ctx else PROGRAM
        document = _document("usage", " ".join(usage.format_message().split()), {}, f"{path} --help")
        return _report(session.terminal, document, ExitCode.USAGE)
    except VaultClientError as error:
        document = _document(error.reason.lower(), error.message, error.fields, error.hint)
        return _report(session.terminal, {**document, "metadata": error.metadata}, exit_code(error.reason))
    except Exception as defect:  # noqa: BLE001 - the last resort: a traceback may quote a secret
        if isinstance(defect, OSError) and _is_unwritten(session.terminal, defect):
            return ExitCode.INTERNAL
        document = _document("internal", _defect(defect), {}, "please report this line")
        return _report(session.terminal, document, ExitCode.INTERNAL)
    if _is_unwritten(session.terminal):
        return ExitCode.INTERNAL
    return returned if isinstance(returned, int) else ExitCode.OK


def _is_unwritten(terminal: Terminal, raised: OSError | None = None) -> bool:
    """Says whether the result did not arrive, and why; a reader who has gone knows it."""
    why = streams.why_unwritable(sys.stdout) or (raised if isinstance(raised, streams.UnwrittenError) else None)
    if why is None:
        return False
    if why.errno != errno.EPIPE:
        text = f"the result cannot be written: {os.strerror(why.errno or 0)}"
        terminal.error(text, "before you do it again, look whether it was done")
    return True


def _document(reason: str, text: str, fields: Mapping[str, str], hint: str) -> dict[str, Any]:
    """Returns an error as `--json` prints it."""
    return {
        "error": reason,
        "error_description": text,
        "error_attributes": {name: [problem] for name, problem in fields.items()},
        "hint": hint,
        "metadata": {},
    }


def _report(terminal: Terminal, document: Mapping[str, Any], code: ExitCode) -> ExitCode:
    told = False
    if terminal.json:
        try:
            terminal.result(document)
            told = True
        except OSError:
            streams.why_unwritable(sys.stdout)  # then a person is told
    if not told:
        fields = [f"{name}: {problem}" for name, (problem,) in document["error_attributes"].items()]
        terminal.error("; ".join([document["error_description"], *fields]), document["hint"])
    return code


def _defect(defect: Exception) -> str:
    """Names type, place and error number of a defect, not its text, which may quote a secret."""
    place = defect.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    code = defect.errno if isinstance(defect, OSError) else None
    return f"internal error: {type(defect).__name__}{f' ({os.strerror(code)})' if code else ''}{where}"


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    """Leaves through every `finally`: echo is switched on again, a throw-away vault is removed."""
    raise SystemExit(128 + number)


def main() -> NoReturn:
    """Entry point of `vaultctl`."""
    streams.occupy_closed()
    forbid_dumps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a mask has an ellipsis, which not every locale can write
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:  # under nohup it stays ignored, for what is started too
            signal.signal(each, _terminated)
    # Ignored by who started us, the kernel forgets how a child ended, and subprocess takes every failure for success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = run(sys.argv[1:])
    streams.why_unwritable(sys.stderr)  # and nobody can be told
    sys.exit(code)
