"""What `--verify` believes before it sends a new key pair to an exchange.

Threat: a server that was taken over answers the open calls, which nobody signs. It says that `kraken` is another
exchange, or that a secret is called what ccxt sends in the open, and the key pair goes there before it is stored.
Measure: kind and environment must be those of an answer that the keyholder has signed, and the names of fields are
ccxt's own words for them. Limit: what else the catalogue says, such as which fields to ask for, may be a lie; it keeps a
key from being asked about, and sends it nowhere.
"""

from vaultd_client.bots.names import FIELDS
from vaultd_client.client import VaultClient
from vaultd_client.errors import NotFoundError, UntrustedVaultError
from vaultd_client.kinds import Kind
from vaultd_client.models import Exchange


def check_kind(kind: Kind, vouched: Exchange) -> None:
    """Compares what the catalogue said with an exchange from a signed answer.

    Raises:
        UntrustedVaultError: They differ.
    """
    if kind.kind != vouched.kind:
        raise UntrustedVaultError(f"the server calls {vouched.kind} {kind.kind}, the keyholder does not; nothing was sent")
    for field in kind.fields:
        if field.ccxt_name and FIELDS["ccxt"].get(field.name) != field.ccxt_name:
            raise UntrustedVaultError(f"the server has a name for {field.name} that ccxt has not; nothing was sent")


def signed_exchange(client: VaultClient, name: str) -> Exchange:
    """Returns an exchange as the keyholder says it is, by its name, id or resource name.

    Raises:
        NotFoundError: There is none.
        RefusedError: The key has not the permission Exchanges:Read.
    """
    for each in client.list(everything=True):
        if name in {each.id, each.resource_name} or name.casefold() == each.name.casefold():
            return each
    raise NotFoundError("no such exchange")
