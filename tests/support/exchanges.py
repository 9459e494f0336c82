"""Exchanges that tests make: each name has a key pair of its own."""

import hashlib
from typing import Any

from google.protobuf.message import Message

from vaultd_client import VaultClient
from vaultd_client.methods import Method
from vaultd_client.models import Exchange
from vaultd_client.session import signed_call


def pair(name: str) -> dict[str, str]:
    """Returns a key pair that looks like Binance's and that no other name has."""
    return {field: hashlib.sha256(f"{field} of {name}".encode()).hexdigest() for field in ("api_key", "secret")}


def create(admin: VaultClient, name: str, kind: str = "binance", **options: Any) -> Exchange:
    """Makes an exchange with the read half of its name."""
    return admin.create_exchange(name, kind, {"read": pair(name)}, **options)[0]


def by_name(admin: VaultClient) -> dict[str, Exchange]:
    """Returns every exchange."""
    return {exchange.name: exchange for exchange in admin.list(everything=True)}


def signed(admin: VaultClient, method: Method[Any], request: Message) -> Any:
    """Makes a signed call with a request of our own, past what the library would refuse by itself."""
    return admin._run(signed_call(admin._session, method, lambda _binding: request))
