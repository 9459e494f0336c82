"""Revealing for a bot or a template: each half once, and errors that say what to type next."""

import shlex
from pathlib import Path

from vaultd_client import references
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import Half
from vaultd_client.client import VaultClient
from vaultd_client.errors import InvalidError, VaultClientError
from vaultd_client.references import Reference
from vaultd_client.revealed import RevealedCredential

MAX_TEMPLATE_BYTES = 1024 * 1024
"""A configuration of a bot is below 100 kB; more is a wrong file."""


class Revealer:
    """Reveals each half once.

    Args:
        client: A client with the bot's key.
    """

    def __init__(self, client: VaultClient) -> None:
        self._client = client
        self._known: dict[Half, RevealedCredential] = {}

    def half(self, half: Half, where: str = "") -> RevealedCredential:
        """Returns a half in plaintext.

        Args:
            half: Of which exchange.
            where: What errors begin with.

        Raises:
            VaultClientError: It cannot be had; with the place, and a hint that names exchange and half.
        """
        if half not in self._known:
            try:
                self._known[half] = self._client.reveal(half.exchange, half.configuration)
            except VaultClientError as error:
                raise self._explained(error, half, where) from None
        return self._known[half]

    def value(self, name: str, reference: Reference) -> str:
        """Returns what a reference of the template `name` stands for.

        Raises:
            VaultClientError: It cannot be had, or the credential has no such field.
        """
        where = f"{name}:{reference.line}:{reference.column}: "
        credential = self.half(Half(reference.exchange, reference.configuration), where)
        try:
            return references.value_of(credential, reference.field)
        except KeyError:
            has = ", ".join([*credential.fields, *(f"extra.{each}" for each in credential.extra)])
            text = f"{where}{credential.name}:{credential.configuration} has no {reference.field}"
            raise InvalidError(text, hint=f"it has {has}") from None

    def rendered(self, name: str, text: str, form: str) -> str:
        """Returns a template with its values."""
        return references.render(text, form, lambda reference: self.value(name, reference), name)

    def _explained(self, error: VaultClientError, half: Half, where: str) -> VaultClientError:
        """Returns the error with its place, and with a hint that names exchange and half."""
        text, hint = error.message, error.hint
        if error.reason == "PERMISSION_DENIED":
            grant = shlex.join(["vaultctl", "client", "grant", "CLIENT", half.exchange])
            hint = f"an administrator may grant it: {grant} --configuration {half.configuration}"
            if not self._is_listed(half.exchange):
                text, hint = f"{text}, and no exchange of that name is listed", "vaultctl exchange list"
        return type(error)(
            f"{where}{half}: {text}", reason=error.reason, fields=error.fields, metadata=error.metadata, hint=hint
        )

    def _is_listed(self, exchange: str) -> bool:
        """Says whether anybody may see the exchange; denied alike are one that is not there and one that is hidden."""
        try:
            self._client.get(exchange)
        except VaultClientError:
            return False
        return True


def template(path: str, form: str | None) -> tuple[str, str]:
    """Reads a template; `-` is stdin.

    Returns:
        Its text, and its format.

    Raises:
        Failure: It cannot be read, is no text, or nobody said its format.
    """
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            content = file.read(MAX_TEMPLATE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", "vaultctl render --help") from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is no text in UTF-8", "vaultctl render --help") from None
    if len(content) > MAX_TEMPLATE_BYTES:
        raise Failure(f"{path} is larger than 1 MiB", "a template is a configuration with references in it")
    known = form or references.format_of(Path(path))
    if not known:
        names = ", ".join(references.FORMATS)
        raise Failure(f"{path} does not say how to quote a value", f"add --format, one of {names}")
    return text, known
