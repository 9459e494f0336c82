"""Gunbot: `config.js`, which is JSON, in the directory where it is started.

The read half is the master key, which the licence is bound to and which may look without trading. The write half is the
key that trades. Both belong to one account. What the file has already stays; the bot sees the filled file, the disk
keeps the other, and what is changed in the GUI is forgotten with the bot: change settings while it runs without keys.
"""

from vaultd_client.bots.launcher import Feed
from vaultd_client.bots.names import EXCHANGES, FIELDS, GUNBOT_MASTER
from vaultd_client.bots.order import Order, at_its_path, document, named, section, settings, unusable
from vaultd_client.revealed import RevealedCredential

FILE = "config.js"


def feed(order: Order) -> Feed:
    """Fills in the keys of each exchange."""
    path = order.directory / FILE
    config = settings(path, "Gunbot", "start it in Gunbot's directory")
    exchanges = section(config, "exchanges", path)
    filled: dict[str, str] = {}
    for credential in order.credentials:
        name = EXCHANGES["gunbot"].get(credential.kind, credential.kind)
        section(exchanges, name, path)
        for key, value in _keys(credential).items():
            where = f"{name}.{key}"
            if filled.setdefault(where, value) != value:
                raise unusable(f"two exchanges would both fill {where}", "Gunbot has one account for each exchange")
            exchanges[name][key] = value
    return Feed(order.command, [at_its_path(order, path, document(config))])


def _keys(credential: RevealedCredential) -> dict[str, str]:
    names = FIELDS["gunbot"]
    return named(credential, {**names, **GUNBOT_MASTER} if credential.configuration == "read" else names, "Gunbot")
