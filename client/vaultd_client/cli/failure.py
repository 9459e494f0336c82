"""The command line's own failure, beside the library's errors."""

from collections.abc import Mapping

from vaultd_client.cli.exit_codes import ExitCode


class Failure(Exception):  # noqa: N818 - the ending of a command, not a defect
    """Ends the command with one line, a hint and an exit code.

    Args:
        text: What is wrong. Never holds a secret.
        hint: What to type next.
        code: Exit code.
        reason: Word for programs, lower case; the `error` of `--json`.
        fields: Field name to what is wrong with it.
    """

    def __init__(
        self,
        text: str,
        hint: str = "",
        *,
        code: ExitCode = ExitCode.USAGE,
        reason: str = "usage",
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code
        self.reason = reason
        self.fields = dict(fields or {})


def invalid(field: str, text: str, hint: str = "") -> Failure:
    """Returns the failure of one field that a person or a file handed over."""
    return Failure("Invalid parameters", hint, code=ExitCode.INVALID, reason="record_invalid", fields={field: text})
