"""NautilusTrader: the environment, which its adapters read where their configuration has no keys.

Its secrets are wiped and redacted in Rust once they are read; the environment itself is not. Free entries that are
called like a variable, such as LIGHTER_API_KEY_INDEX, are set too.
"""

from vaultd_client.bots.launcher import Environment, Feed
from vaultd_client.bots.names import NAUTILUS
from vaultd_client.bots.order import Order, misfit, named, unusable


def feed(order: Order) -> Feed:
    """Sets the variables of each exchange's adapter."""
    variables: dict[str, str] = {}
    for credential in order.credentials:
        names = NAUTILUS.get(credential.kind, {}).get(credential.environment)
        if names is None:
            where = f"{credential.kind} ({credential.environment})"
            raise misfit(credential, "kind", f"NautilusTrader has no variables for {where}", "set them with --for env")
        given = named(credential, names, "NautilusTrader")
        given |= {name: value for name, value in credential.extra.items() if name.isupper()}
        twice = sorted(given.keys() & variables.keys())
        if twice:
            raise unusable(f"two exchanges would both set {twice[0]}", "start one process for each account")
        variables |= given
    return Feed(order.command, [Environment(variables)])
