"""Which keys are taken: the defaults, what the settings demand, what the flags of one command allow.

The settings are in `vaultctl.toml` beside the client key (`~/.config/vaultd/vaultctl.toml`): they are the person's who
hands keys over, not the daemon's, which asks no exchange::

    [verify]
    require-no-withdraw = true   # --allow-withdraw is not enough
    require-ip = true            # a key must be bound to IP addresses
    refuse-unknown = true        # where the exchange does not say, the worse is taken
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultd_client.errors import InvalidError
from vaultd_client.key_checks import KeyCheck

FILE: Final = "vaultctl.toml"
_SETTINGS: Final = ("require-no-withdraw", "require-ip", "refuse-unknown")


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules for one command."""

    require_no_withdraw: bool = False
    require_ip: bool = False
    refuse_unknown: bool = False
    allow_trade: bool = False
    allow_withdraw: bool = False

    @classmethod
    def load(cls, path: Path, *, allow_trade: bool = False, allow_withdraw: bool = False) -> "Policy":
        """Reads the settings; a file that is not there has none.

        Raises:
            InvalidError: The file cannot be read, or has a setting that is none.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            table = {}
        except (OSError, ValueError):
            raise _wrong(path, "verify", "cannot be read as TOML") from None
        settings = table.pop("verify", {})
        if table or not isinstance(settings, dict):
            raise _wrong(path, next(iter(table), "verify"), "is not a setting; there is [verify]")
        for name, value in settings.items():
            if name not in _SETTINGS or not isinstance(value, bool):
                raise _wrong(path, name, f"must be true or false, and one of {', '.join(_SETTINGS)}")
        given = {name.replace("-", "_"): value for name, value in settings.items()}
        return cls(**given, allow_trade=allow_trade, allow_withdraw=allow_withdraw)

    def faults(self, configuration: str, check: KeyCheck) -> dict[str, str]:
        """Returns right to why a working key is not taken for a configuration; empty where it is."""
        return dict(self._faults(configuration, check))

    def _faults(self, configuration: str, check: KeyCheck) -> Iterator[tuple[str, str]]:
        if self._bad(check.withdraw) and not (self.allow_withdraw and not self.require_no_withdraw):
            setting = " (require-no-withdraw)" if self.require_no_withdraw else ""
            yield "withdraw", _said(check.withdraw, "it can withdraw", "whether it can withdraw") + setting
        if configuration == "read" and self._bad(check.trade) and not self.allow_trade:
            yield "trade", _said(check.trade, "it can trade, and is for reading", "whether it can trade")
        if self.require_ip and (check.ip_bound == "NO" or (check.ip_bound == "UNKNOWN" and self.refuse_unknown)):
            said = "it works from any IP address" if check.ip_bound == "NO" else "the exchange does not say whether it is bound"
            yield "ip_bound", f"{said} (require-ip)"

    def _bad(self, answer: str) -> bool:
        return answer == "YES" or (answer == "UNKNOWN" and self.refuse_unknown)


def _said(answer: str, yes: str, unknown: str) -> str:
    return yes if answer == "YES" else f"the exchange does not say {unknown} (refuse-unknown)"


def _wrong(path: Path, name: str, what: str) -> InvalidError:
    return InvalidError(f"{path}: {name} {what}", fields={name: what}, hint=f"correct {path}")
