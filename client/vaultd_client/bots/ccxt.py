"""Programs that use ccxt: a JSON file, at `{feed}`.

One exchange: what its constructor takes. Several: their names, each with that.
"""

from vaultd_client.bots.launcher import Descriptor, Feed
from vaultd_client.bots.names import FIELDS
from vaultd_client.bots.order import Order, document, named, unusable
from vaultd_client.revealed import RevealedCredential


def feed(order: Order) -> Feed:
    """Puts the JSON at `{feed}`."""
    if len(order.credentials) == 1:
        return Feed(order.command, [Descriptor(document(_config(order.credentials[0])))])
    configs = {each.name: _config(each) for each in order.credentials}
    if len(configs) < len(order.credentials):
        raise unusable(
            "two halves of one exchange would have the same name in the JSON",
            "name each exchange once, or write a template: vaultctl render --help",
        )
    return Feed(order.command, [Descriptor(document(configs))])


def _config(credential: RevealedCredential) -> dict[str, str]:
    # What ccxt does not take, such as a number that only another bot asks for, is left out as `reveal` leaves it out.
    return credential.ccxt_config() or named(credential, FIELDS["ccxt"], "ccxt")
