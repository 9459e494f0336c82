"""How a key pair is handed over: as JSON on a descriptor, or field by field as the catalogue of kinds asks."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vaultd_client.cleaning import unusable
from vaultd_client.cli import prompts
from vaultd_client.cli.drafts import draft_from
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import DESCRIPTOR
from vaultd_client.cli.secrets_in import opened, wiped
from vaultd_client.cli.session import Session
from vaultd_client.cli.terminal import Terminal
from vaultd_client.drafts import Draft, draft
from vaultd_client.fields import FieldValues
from vaultd_client.kinds import Kind, KindField

INSTEAD = "--fields-fd"
LABELS = {
    "api_key": "API key",
    "secret": "Secret",
    "passphrase": "Passphrase of the key",
    "customer_id": "Customer id",
    "address": "Wallet address",
    "private_key": "Private key",
    "login": "Login",
    "password": "Password",
    "two_fa": "Second-factor seed",
    "token": "Token",
    "account_id": "Account id",
}


@dataclass(frozen=True, slots=True)
class Given:
    """Where a JSON document comes from: `option` is what the person typed."""

    option: str
    descriptor: int


def document_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that name where a JSON document comes from; the command gets `given`, None without any."""

    @click.option("--from-stdin", is_flag=True, help="Read the key pair as JSON from stdin.")
    @click.option("--fields-fd", type=DESCRIPTOR, help="Read the key pair as JSON from this descriptor.")
    @click.option("--from-file", type=click.Path(path_type=Path), help="Read it from a file, such as Coinbase's.")
    @functools.wraps(command)
    def with_document(
        *arguments: Any, from_stdin: bool, from_file: Path | None, fields_fd: int | None, **options: Any
    ) -> Any:
        named = {"--from-stdin": from_stdin, "--from-file": from_file is not None, "--fields-fd": fields_fd is not None}
        typed = [option for option, is_there in named.items() if is_there]
        if len(typed) > 1:
            raise Failure(f"{' and '.join(typed)} exclude each other", "leave one out")
        if from_file is None:
            descriptor = 0 if from_stdin else fields_fd
            given = None if descriptor is None else Given(typed[0], descriptor)
            return command(*arguments, given=given, **options)
        with opened("--from-file", from_file) as descriptor:
            answer = command(*arguments, given=Given(f"--from-file: {from_file}", descriptor), **options)
        click.get_current_context().ensure_object(Session).terminal.note(
            f"{from_file} still holds the secret: delete it once the key pair is known to work."
        )
        return answer

    return with_document


def document(given: Given | None) -> Draft | None:
    """Returns the document that the options name; None where none of them was given.

    Raises:
        Failure: What came in is no such document.
    """
    return None if given is None else draft_from(given.option, given.descriptor)


def empty() -> Draft:
    """Returns the document that says nothing."""
    return draft({})


def single(given: Draft, configuration: str) -> FieldValues:
    """Returns the one key pair of a document that is meant for `configuration`.

    Raises:
        Failure: The document has none, or has one for the other half.
    """
    fields = given.configurations.get(configuration, given.configurations.get(""))
    if fields is None:
        raise Failure(f"the document has no key pair for {configuration}", 'write {"api_key": "...", "secret": "..."}')
    return fields


def ask_pair(terminal: Terminal, kind: Kind, configuration: str) -> Mapping[str, str]:
    """Asks for the fields of a key pair: those that the kind requires, then those it expects, which may stay empty.

    What is typed goes to the vault as it is: cleaning and judging it is the keyholder's. Asked again is only where a
    person would otherwise have typed everything in vain.

    Raises:
        Failure: There is no terminal.
    """
    terminal.note(f"{kind.display_name}, {configuration} key pair. Secrets are not shown while you type.")
    terminal.note(f"How to make one, with which rights: vaultctl kinds show {kind.kind}")
    if kind.notice:
        terminal.warn(kind.notice)
    fields: dict[str, str] = {}
    for field in kind.fields:
        if field.need not in {"REQUIRED", "EXPECTED"}:
            continue
        value = _ask_field(field)
        while problem := _early(kind, field, value):
            terminal.note(problem)
            value = _ask_field(field)
        if value.strip():
            fields[field.name] = value
    return fields


def _early(kind: Kind, field: KindField, value: str) -> str:
    if not value.strip():
        return f"{field.name} is required for {kind.kind}." if field.need == "REQUIRED" else ""
    return "" if field.verbatim else unusable(value)


def _ask_field(field: KindField) -> str:
    question = LABELS.get(field.name, field.name) + ("" if field.need == "REQUIRED" else " (may stay empty)")
    if field.maskable:
        return prompts.ask(question, instead=INSTEAD)
    typed = prompts.secret(question, instead=INSTEAD)
    with wiped(typed):
        try:
            return typed.decode()
        except UnicodeDecodeError:
            raise Failure(f"{field.name} is not UTF-8 text", "paste it again, or use --fields-fd") from None
