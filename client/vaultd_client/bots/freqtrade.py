"""freqtrade: one more `--config`, a memory file with the keys alone, after the user's own; or the environment.

freqtrade merges its configuration files, later ones over earlier ones, and opens them again when it reloads: a memory
file allows that. Never `ccxt_config`, which freqtrade writes to its log.

Traps, of freqtrade 2026.9:

* `--config -` makes it ignore every other file, ours too.
* Without any `--config` it takes `user_data/config.json` or `config.json`; with ours alone it would take neither.
* A FREQTRADE__EXCHANGE__ variable wins over every file.
* Of variables, all but PASSWORD become int, float, bool or list where they look like one.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from vaultd_client.bots.launcher import Descriptor, Environment, Feed
from vaultd_client.bots.names import FIELDS
from vaultd_client.bots.order import Order, document, misfit, named, only, unusable
from vaultd_client.revealed import RevealedCredential

PREFIX = "FREQTRADE__EXCHANGE__"
_UNTYPED = "PASSWORD"
_OPTIONS = ("-c", "--config")


def check(command: Sequence[str]) -> None:
    """Refuses `--config -`."""
    if "-" in _configs(command):
        raise unusable(
            "with --config - freqtrade reads stdin and ignores every other file, the keys too",
            "write the configuration to a file and name that",
        )


def feed(order: Order) -> Feed:
    """Appends the keys as the last configuration file."""
    credential = only(order, "freqtrade")
    taken = sorted(
        name
        for name in order.environment
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() in {*FIELDS["freqtrade"].values(), "key"}
    )
    if taken:
        raise unusable(f"{taken[0]} is set, and wins over the vault's keys", f"unset {' '.join(taken)}")
    keys = {"exchange": named(credential, FIELDS["freqtrade"], "freqtrade")}
    own = () if _configs(order.command) else ("--config", _usual(order))
    return Feed((*order.command, *own), [Descriptor(document(keys), ("--config",))])


def feed_environment(order: Order) -> Feed:
    """Sets FREQTRADE__EXCHANGE__ variables, where every value arrives as it is."""
    credential = only(order, "freqtrade")
    variables = {}
    for name, value in named(credential, FIELDS["freqtrade"], "freqtrade").items():
        if name.upper() != _UNTYPED and _retyped(value):
            raise _would_retype(credential, name)
        variables[PREFIX + name.upper()] = value
    return Feed(order.command, [Environment(variables)])


def _retyped(value: str) -> bool:
    """Says whether freqtrade would take it for something else than text: environment_vars.py, _get_var_typed."""
    try:
        float(value)  # whatever int takes too
    except ValueError:
        pass
    else:
        return True
    if value.lower() in {"t", "true", "f", "false"}:
        return True
    try:
        return isinstance(json.loads(value), list)
    except ValueError:
        return False


def _would_retype(credential: RevealedCredential, name: str) -> Exception:
    field = next(ours for ours, theirs in FIELDS["freqtrade"].items() if theirs == name)
    text = "freqtrade would take it for a number, a truth or a list"
    return misfit(credential, field, text, "feed it without the environment: --for freqtrade")


def _configs(command: Sequence[str]) -> list[str]:
    """Returns the configuration files that the command names, not the `-c` of an interpreter that starts freqtrade."""
    starts = max((place for place, each in enumerate(command) if Path(each).stem == "freqtrade"), default=0)
    ours, found = command[starts:], []
    for option, after in zip(ours, [*ours[1:], ""], strict=True):
        if option in _OPTIONS:
            found.append(after)
        elif option.startswith("--config="):
            found.append(option.partition("=")[2])
        elif option.startswith("-c") and not option.startswith("--"):
            found.append(option[2:])
    return found


def _usual(order: Order) -> str:
    """Returns the configuration that freqtrade takes where none is named: arguments.py, _parse_args."""
    options = dict(pairwise(order.command))
    directory = options.get("--userdir") or options.get("--user-data-dir") or "user_data"
    usual = Path(directory) / "config.json"
    return str(usual) if (order.directory / usual).is_file() else "config.json"
