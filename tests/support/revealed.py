"""Revealed credentials without a vault."""

from collections.abc import Mapping, Sequence
from typing import Any

from vaultd_api.v1 import exchange_service_pb2, resources_pb2
from vaultd_client.bots.names import FIELDS
from vaultd_client.revealed import RevealedCredential


def credential(
    kind: str = "binance",
    configuration: str = "write",
    *,
    name: str = "main",
    environment: str = "live",
    extra: Mapping[str, str] | None = None,
    market_types: Sequence[str] = (),
    **fields: Any,
) -> RevealedCredential:
    """Returns a credential; a key pair where no fields are given."""
    given = fields or {"api_key": "KEY-0123456789", "secret": "SECRET-9876543210"}
    return RevealedCredential(
        exchange_service_pb2.RevealCredentialResponse(
            exchange="ex-1",
            name=name,
            kind=kind,
            environment=environment,
            configuration=configuration,
            market_types=market_types,
            version=1,
            ccxt_names=FIELDS["ccxt"],
            fields=resources_pb2.CredentialFields(**given, extra=extra or {}),
        )
    )
