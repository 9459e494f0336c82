"""OctoBot: `user/config.json`, in a directory that only the bot sees.

OctoBot takes plain keys and writes them back, obscured with a key that is a constant of its source, by way of a copy
beside the file: the whole of `user` is therefore shadowed. What is in it stays, sub-directories are the real ones, and a
change to a file directly in `user` is forgotten with the bot.

Trap: it strips blanks, quotes and a newline from both ends of key and secret.
"""

from vaultd_client.bots.launcher import Descriptor, Feed, Shadow
from vaultd_client.bots.names import FIELDS
from vaultd_client.bots.order import Order, document, has_place, misfit, named, section, settings, unusable
from vaultd_client.revealed import RevealedCredential

DIRECTORY, FILE = "user", "config.json"


def feed(order: Order) -> Feed:
    """Fills in the keys of each exchange."""
    directory = order.directory / DIRECTORY
    path = directory / FILE
    config = settings(path, "OctoBot", "start OctoBot once without keys, in its own directory")
    exchanges = section(config, "exchanges", path)
    filled: set[str] = set()
    for credential in order.credentials:
        if credential.kind in filled:
            raise unusable(f"two exchanges would both fill {credential.kind}", "OctoBot has one account for each")
        filled.add(credential.kind)
        section(exchanges, credential.kind, path).update(_keys(credential))
    content = document(config)
    way = Descriptor(content) if has_place(order.command) else Shadow(directory, {FILE: content})
    return Feed(order.command, [way])


def _keys(credential: RevealedCredential) -> dict[str, object]:
    for field in ("api_key", "secret"):
        value = credential.fields.get(field, "").rstrip("\n")  # a PEM without its last newline is the same
        if value.strip(' "').strip("'").strip("\n") != value:
            raise misfit(credential, field, "OctoBot would strip blanks or quotes from its ends")
    keys: dict[str, object] = dict(named(credential, FIELDS["octobot"], "OctoBot"))
    return keys | {"sandboxed": credential.environment != "live"}
