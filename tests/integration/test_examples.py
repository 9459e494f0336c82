"""The bots of client/examples/ do what they say, against a real vault and venues that verify every signature."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import mock_venues
from tests.support.daemon import Daemon, new_daemon
from tests.support.mock_venues import Account, Venues
from vaultd_client import ClientKey

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: the examples were NOT run")

EXAMPLES = Path(__file__).parents[2] / "client" / "examples"
SECONDS = 60


class Street(NamedTuple):
    """A vault with one bot, and the venues that the bot trades at."""

    daemon: Daemon
    key: ClientKey
    venues: Venues

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Starts an example as the bot."""
        environment = {
            "PATH": os.environ["PATH"],
            "VAULTD_RUNTIME_DIR": str(self.daemon.runtime),
            "VAULTD_KEY": str(self.daemon.home / "bot.key"),
        }
        command = [sys.executable, str(EXAMPLES / program), *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def settings(self, document: object) -> str:
        """Writes a file of settings and returns its path."""
        path = self.daemon.home / "settings.json"
        path.write_text(json.dumps(document))
        return str(path)


@pytest.fixture
def street() -> Iterator[Street]:
    with new_daemon() as daemon, mock_venues.running() as venues:
        daemon.start()
        daemon.initialize()
        key = daemon.stranger()
        key.save(daemon.home / "bot.key")
        with daemon.admin() as admin:
            admin.allow_client("bot", key.public_key, os.geteuid())
            for name, extra in (("binance", {}), ("okx", {"passphrase": "P"})):
                pair = {"api_key": f"KEY-{name}", "secret": f"SECRET-{name}", **extra}
                admin.create_exchange(f"my-{name}", name, {"read": pair})
                admin.create_grant("bot", f"my-{name}", "read")
                venues.accounts[f"KEY-{name}"] = Account(name, f"SECRET-{name}", extra.get("passphrase", ""))
        yield Street(daemon, key, venues)


def test_the_bot_waits_for_the_unlock_works_and_goes_on_with_a_rotated_key(street: Street) -> None:
    street.daemon.lock()
    settings = street.settings(street.venues.options(ccxt, "binance"))
    with street.start("bot.py", "my-binance", "--settings", settings, "--every", "0.05") as bot:
        try:
            assert bot.stdout is not None
            lines = iter(bot.stdout.readline, "")
            assert next(lines) == "waiting: the vault is locked (vaultctl unlock)\n"
            street.daemon.unlock()
            balance = 'binance {"BTC": 1.25}\n'
            assert next(line for line in lines if not line.startswith("waiting")) == balance
            # The venue takes another key from now on; the old one is refused there.
            street.venues.accounts["KEY-2"] = Account("binance", "SECRET-2")
            with street.daemon.admin() as admin:
                admin.rotate_credential("my-binance", "read", {"api_key": "KEY-2", "secret": "SECRET-2"})
            del street.venues.accounts["KEY-binance"]
            street.venues.signed.clear()
            while not street.venues.signed:
                line = next(lines)
                assert line == balance, line + "".join(lines)
            assert {key for _, key, _ in street.venues.signed} == {"KEY-2"}
            # Taken away without a new one: that is the end.
            del street.venues.accounts["KEY-2"]
            assert "".join(lines).splitlines()[-1] == "the venue: DDoSProtection"
        finally:
            bot.kill()


def test_the_bot_says_what_to_do_when_it_is_refused(street: Street) -> None:
    with street.daemon.admin() as admin:
        admin.revoke_client("bot")
    with street.start("bot.py", "my-binance") as bot:
        out, _ = bot.communicate(timeout=SECONDS)
    assert bot.returncode == 1
    assert "vaultctl" in out
    assert "Traceback" not in out


def test_the_asyncio_bot_shows_every_account_and_why_one_cannot_be_shown(street: Street) -> None:
    settings = street.settings({f"my-{kind}": street.venues.options(ccxt, kind) for kind in ("binance", "okx")})
    with street.start("async_bot.py", "my-binance", "my-okx", "--settings", settings) as bot:
        out, _ = bot.communicate(timeout=SECONDS)
    assert sorted(out.splitlines()) == ['my-binance: {"BTC": 1.5}', 'my-okx: {"BTC": 1.5}']
    assert bot.returncode == 0
    street.venues.accounts["KEY-okx"] = Account("okx", "another", "P")
    with street.start("async_bot.py", "my-binance", "my-okx", "nowhere", "--settings", settings) as bot:
        out, _ = bot.communicate(timeout=SECONDS)
    shown = sorted(out.splitlines())
    assert shown[:2] == ['my-binance: {"BTC": 1.5}', "my-okx: AuthenticationError"]
    assert "vaultctl client why" in shown[2]
    assert bot.returncode == 1
