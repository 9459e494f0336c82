"""passivbot: `api-keys.json`, in the directory where it is started; the account is called like the exchange.

What the file has already, such as other accounts, stays. The bot sees the filled file, the disk keeps the other.
"""

from vaultd_client.bots.launcher import Feed
from vaultd_client.bots.names import EXCHANGES, FIELDS
from vaultd_client.bots.order import Order, at_its_path, document, misfit, named, settings, unusable
from vaultd_client.revealed import RevealedCredential

FILE = "api-keys.json"
_NUMBERS = frozenset({"account_index", "api_key_index"})
_TRUTHS = {"true": True, "false": False}


def feed(order: Order) -> Feed:
    """Adds an account for each exchange."""
    path = order.directory / FILE
    accounts = settings(path, "passivbot", f"make an empty one: echo {{}} > {path}")
    added: set[str] = set()
    for credential in order.credentials:
        if credential.name in added:
            raise unusable(f"two accounts would be called {credential.name}", "name each exchange once")
        added.add(credential.name)
        exchange = EXCHANGES["passivbot"].get(credential.kind, credential.kind)
        accounts[credential.name] = {"exchange": exchange, **_keys(credential)}
    return Feed(order.command, [at_its_path(order, path, document(accounts))])


def _keys(credential: RevealedCredential) -> dict[str, object]:
    names = dict(FIELDS["passivbot"])
    if credential.kind == "lighter":
        names["account_id"] = "account_index"
    keys: dict[str, object] = {**named(credential, names, "passivbot"), **credential.extra}
    for name, value in keys.items():
        if name in _NUMBERS:
            if not (isinstance(value, str) and value.isascii() and value.isdigit()):
                raise misfit(credential, name, "passivbot wants a whole number")
            keys[name] = int(value)
        elif name == "is_vault":
            if value not in _TRUTHS:
                raise misfit(credential, name, "passivbot wants true or false")
            keys[name] = _TRUTHS[str(value)]
    return keys
