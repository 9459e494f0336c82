"""Jesse: the CSV that its import of API keys takes, at `{feed}`.

    vaultctl run --for jesse --exchange binance-main:write -- sh -c 'jq -Rs "{content: .}" {feed} | curl ... --data @-'

Traps, of jesse 3.5.3: it strips every value; it drops wallet address and private key where there is no passphrase; it
skips a row without key or secret; and it refuses the whole file where any value has a piece of SQL in it.
"""

import csv
import io

from vaultd_client.bots.launcher import Descriptor, Feed
from vaultd_client.bots.names import FIELDS, JESSE_EXCHANGES
from vaultd_client.bots.order import Order, misfit, named, of_market, unusable
from vaultd_client.revealed import RevealedCredential

COLUMNS = ("Name", "Exchange", *FIELDS["jesse"].values())
_SQL = (
    ";--", "/*", "*/", "xp_", "sp_", "union ", "select ", "insert ", "update ", "delete ", "drop ", "alter ", "create ",
)  # fmt: skip


def feed(order: Order) -> Feed:
    """Puts the CSV at `{feed}`, one row for each exchange."""
    names = [each.name for each in order.credentials]
    if len(set(names)) < len(names):
        raise unusable("Jesse skips a second key of the same name", "name each exchange once")
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    rows.writeheader()
    for credential in order.credentials:
        rows.writerow(_row(credential, order.market))
    return Feed(order.command, [Descriptor(out.getvalue().encode())])


def _row(credential: RevealedCredential, market: str) -> dict[str, str]:
    for needed in ("api_key", "secret"):
        if needed not in credential.fields:
            raise misfit(credential, needed, "Jesse skips a key without it")
    for name in ("address", "private_key"):
        if name in credential.fields and "passphrase" not in credential.fields:
            raise misfit(credential, name, "Jesse's import drops it where there is no passphrase")
    exchange = of_market(credential, JESSE_EXCHANGES, market, "Jesse")
    row = {"Name": credential.name, "Exchange": exchange if credential.environment == "live" else f"{exchange} Testnet"}
    row |= named(credential, FIELDS["jesse"], "Jesse")
    for name, value in row.items():
        if value.rstrip("\n") != value.strip():  # a PEM without its last newline is the same
            raise misfit(credential, name, "Jesse would strip the blanks at its ends")
        if any(piece in value.lower() for piece in _SQL):
            raise misfit(credential, name, "Jesse would refuse the file, because it takes a piece of it for SQL")
    return row
