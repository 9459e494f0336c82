"""What every profile shares: the order of a bot, and the checks of what would not arrive as it was sent."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaultd_client.bots.launcher import PLACE, Cover, Descriptor, Feed, Way
from vaultd_client.bots.names import Names
from vaultd_client.errors import InvalidError
from vaultd_client.revealed import RevealedCredential

_PLAIN = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Order:
    """What a person typed, and what was revealed for it.

    Args:
        command: The bot's own command.
        credentials: One for each `--exchange`, in that order.
        market: `spot` or `swap`, where a bot calls them differently; empty where the person did not say.
        directory: Where the bot is started.
        environment: The bot's environment without its keys.
    """

    command: Sequence[str]
    credentials: Sequence[RevealedCredential]
    market: str = ""
    directory: Path = field(default_factory=Path.cwd)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Profile:
    """How one bot takes its keys.

    Args:
        text: One line for a person.
        feed: Makes the feed of an order; InvalidError where the bot would not get what was sent.
        check: Refuses a command before anything is revealed for it.
        mounts: True where it needs private mounts, unless the command has `{feed}`.
        environment: Says whether something would go into the environment of a command.
    """

    text: str
    feed: Callable[[Order], Feed]
    check: Callable[[Sequence[str]], None] = lambda _command: None
    mounts: bool = False
    environment: Callable[[Sequence[str]], bool] = lambda _command: False


def misfit(credential: RevealedCredential, field: str, text: str, hint: str = "") -> InvalidError:
    """Returns the error of one field that does not fit the bot."""
    where = f"{credential.name}:{credential.configuration}"
    return InvalidError(f"{where} cannot be fed", fields={field: text}, hint=hint)


def unusable(text: str, hint: str) -> InvalidError:
    """Returns the error of an order that no bot could make sense of."""
    return InvalidError(text, hint=hint)


def only(order: Order, bot: str) -> RevealedCredential:
    """Returns the one credential of a bot that takes one."""
    if len(order.credentials) != 1:
        raise unusable(f"{bot} takes one exchange, not {len(order.credentials)}", "name one --exchange")
    return order.credentials[0]


def named(credential: RevealedCredential, names: Names, bot: str) -> dict[str, str]:
    """Returns the fields under the bot's names.

    Raises:
        InvalidError: The bot has no place for a field.
    """
    homeless = [name for name in credential.fields if name not in names]
    if homeless:
        raise misfit(credential, homeless[0], f"{bot} has no place for it", "write a template: vaultctl render --help")
    return {names[name]: value for name, value in credential.fields.items()}


def of_market(credential: RevealedCredential, table: Mapping[str, Names], market: str, bot: str) -> str:
    """Returns what a bot calls an exchange, which may differ between spot and swap.

    Args:
        credential: Whose kind is looked up.
        table: Kind to market to the bot's name.
        market: What the person said; where empty, the exchange's own market types may say it.
        bot: Its name.

    Raises:
        InvalidError: The bot does not know the kind or the market, or the person must say which.
    """
    names = table.get(credential.kind, {})
    if not names:
        raise misfit(credential, "kind", f"{bot} does not know {credential.kind}", "vaultctl render --help")
    if market in names:
        return names[market]
    stored = [each for each in names if each in credential.market_types]
    if not market and len(stored) == 1:
        return names[stored[0]]
    if market or len(names) > 1:
        options = " or ".join(f"--market {each}" for each in names)
        raise misfit(credential, "kind", f"{bot} has a name of its own for each market of {credential.kind}", options)
    return next(iter(names.values()))


def variable(name: str) -> str:
    """Returns the name of an exchange as environment variables are written: `binance-main` is BINANCE_MAIN."""
    return _PLAIN.sub("_", name).strip("_").upper()


def document(values: object) -> bytes:
    """Returns JSON, indented, as a file has it."""
    return f"{json.dumps(values, indent=4, ensure_ascii=False)}\n".encode()


def has_place(command: Sequence[str]) -> bool:
    """Says whether the command has `{feed}`."""
    return any(PLACE in each for each in command)


def need_place(command: Sequence[str]) -> None:
    """Refuses a command that does not say where the path goes."""
    if not has_place(command):
        raise unusable(
            f"the command does not say where the path of the keys goes: {PLACE} is missing",
            f"such as: vaultctl run ... -- python bot.py --keys {PLACE}",
        )


def at_its_path(order: Order, path: Path, content: bytes) -> Way:
    """Returns a file at the bot's own path, or as a descriptor where the command has `{feed}`."""
    return Descriptor(content) if has_place(order.command) else Cover(path, content)


def settings(path: Path, bot: str, otherwise: str) -> dict[str, Any]:
    """Reads the bot's own JSON, which keeps everything but the keys.

    Args:
        path: Where.
        bot: Its name.
        otherwise: What a person does where it is not there.

    Raises:
        InvalidError: It is missing, unreadable or no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise unusable(f"{bot}'s {path.name} is not in {path.parent}", otherwise) from None
    except OSError as error:
        raise unusable(f"{path} cannot be read: {error.strerror}", "run it as the user who runs the bot") from None
    except ValueError:  # JSONDecodeError and UnicodeDecodeError; their texts quote the file
        raise unusable(f"{path} is not the JSON that {bot} writes", f"look at it: python -m json.tool {path}") from None
    if not isinstance(found, dict):
        raise unusable(f"{path} is not a JSON object", f"look at it: python -m json.tool {path}")
    return found


def section(document: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Returns an object in a document, made where it is missing."""
    found = document.setdefault(name, {})
    if not isinstance(found, dict):
        raise unusable(f"{name} in {path} is not a JSON object", f"look at it: python -m json.tool {path}")
    return found
