"""Any program that reads its keys from the environment.

Two ways, also together:

* A variable that already holds a reference, `API_KEY=vaultd://binance-main/read/api_key`, gets its value.
* Each `--exchange` sets NAME_FIELD: `binance-main` sets BINANCE_MAIN_API_KEY and BINANCE_MAIN_SECRET.
"""

from vaultd_client.bots.launcher import Environment, Feed
from vaultd_client.bots.order import Order, misfit, unusable, variable


def feed(order: Order) -> Feed:
    """Sets NAME_FIELD for every field of every exchange."""
    variables: dict[str, str] = {}
    for credential in order.credentials:
        prefix = variable(credential.name)
        if not prefix or prefix[0].isdigit():
            raise misfit(credential, "name", "no environment variable can be called so", "use references instead")
        for name, value in [*credential.fields.items(), *credential.extra.items()]:
            key = f"{prefix}_{variable(name)}"
            if key in variables:
                raise unusable(f"two values would be called {key}", "name each exchange once, or use references")
            variables[key] = value
    return Feed(order.command, [Environment(variables)])
