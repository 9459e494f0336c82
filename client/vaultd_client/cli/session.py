"""What every command shares: the terminal, where the vault is, and the two clients, made when they are needed."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import click

from vaultd_client import paths
from vaultd_client.cli.terminal import Terminal
from vaultd_client.client import VaultClient
from vaultd_client.unlock import UnlockClient

ANSWER_SECONDS = 30.0
"""A person waits longer than a bot: a busy host is no reason to do it all again. A signed request lives as long."""


class Session:
    """One run of `vaultctl`. The paths are those of the root's options; the library finds what is None."""

    def __init__(self) -> None:
        self.terminal = Terminal()
        self.socket: Path | None = None
        self.unlock_socket: Path | None = None
        self.key: Path | None = None

    def client(self) -> VaultClient:
        """Returns a client of the public socket."""
        return VaultClient(self.socket, self.key, timeout=ANSWER_SECONDS)

    def unlock_client(self) -> UnlockClient:
        """Returns a client of the unlock socket."""
        return UnlockClient(self.unlock_socket)

    def key_path(self) -> Path:
        """Returns the path of the key file that signs, or would."""
        return self.key or paths.key_file()


class Command(click.Command):
    """A command that takes `--json`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(json_option("Print one JSON document on stdout, errors too."))


class Group(click.Group):
    """A group whose commands take `--json`."""

    command_class = Command
    group_class = type


def json_option(text: str) -> click.Option:
    """Returns the option `--json`."""
    return click.Option(["--json"], is_flag=True, is_eager=True, expose_value=False, callback=_choose_json, help=text)


def _choose_json(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value:
        ctx.ensure_object(Session).terminal.json = True


def plain(value: object) -> Any:
    """Returns a value of the library as JSON has it.

    Dataclasses become objects with the names of their fields, times ISO 8601 in UTC to the millisecond, bytes
    lower-case hex, tuples lists.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def moment(value: datetime | None) -> str:
    """Returns a time as a person reads it: local, to the second, with its zone."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if value else "-"
