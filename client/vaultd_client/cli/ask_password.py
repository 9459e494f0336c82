"""The passphrase by way of systemd's password agents: the console, a boot splash, systemd-tty-ask-password-agent."""

import select
import subprocess
from collections.abc import Callable

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.secrets_in import line_from

_LOOK_SECONDS = 1.0
_COMMAND = ("systemd-ask-password", "--timeout=0", "--no-tty", "--id=vaultd:unlock", "Passphrase of the vault (vaultd):")


def ask(answered_elsewhere: Callable[[], bool]) -> bytearray | None:
    """Asks until there is an answer, and returns it. The caller wipes it.

    Args:
        answered_elsewhere: Looked at once a second; True takes the question back, and None is returned.

    Raises:
        Failure: systemd cannot ask, or the question was cancelled.
    """
    try:
        process = subprocess.Popen(_COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - fixed words
    except FileNotFoundError:
        raise Failure("systemd-ask-password is not installed", "vaultctl unlock asks at the terminal") from None
    with process:
        assert process.stdout is not None
        try:
            while not select.select([process.stdout], [], [], _LOOK_SECONDS)[0]:
                if answered_elsewhere():
                    return None
            return line_from("--ask-password", process.stdout.fileno())
        except Failure:
            text = "the question was cancelled, or systemd could not ask it"
            raise Failure(text, "vaultctl unlock asks at the terminal", code=ExitCode.INTERRUPTED) from None
        finally:
            process.terminate()
