"""What the id of a systemd credential asks for: `LoadCredential=main.read.ccxt.json:/run/vaultd/credentials.sock`.

    id       = exchange [ "." half ] form | "vaultd-client.key"
    exchange = name or id of an exchange
    half     = "read" | "write"
    form     = ".json" | ".env" | ".ccxt.json" | ".freqtrade.json" | "." field
    field    = one field of CredentialFields: api_key, secret, passphrase ...

Read from the right, so a name may hold dots; one that ends like a half or a form is asked for by the exchange's id. An
id without a half means the only half that the unit is granted.
"""

from dataclasses import dataclass
from typing import Final

from vaultd.errors import RecordInvalidError
from vaultd.model import CONFIGURATIONS
from vaultd_api.v1.resources_pb2 import CredentialFields

CLIENT_KEY: Final = "vaultd-client.key"
"""Not an exchange's: a fresh client key, for as long as the unit runs."""
FIELDS: Final = tuple(field.name for field in CredentialFields.DESCRIPTOR.fields if field.name != "extra")
FORMS: Final = ("ccxt.json", "freqtrade.json", "json", "env", *FIELDS)
"""The longer of two that end alike comes first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An id taken apart. `configuration` is empty where the id names none; `form` is one of FORMS."""

    exchange: str
    configuration: str
    form: str


def parse(credential: str) -> Wanted:
    """Takes an id apart.

    Raises:
        RecordInvalidError: It has no form that there is.
    """
    for form in FORMS:
        rest = credential.removesuffix(f".{form}")
        if rest == credential or not rest:
            continue
        exchange, _, half = rest.rpartition(".")
        return Wanted(exchange, half, form) if exchange and half in CONFIGURATIONS else Wanted(rest, "", form)
    raise RecordInvalidError("the credential id must end in .json, .env, .ccxt.json, .freqtrade.json or a field's name")
