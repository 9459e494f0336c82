"""The catalogue of kinds of exchange: data in `data/`, values in `kind`, look-up in `catalogue`, how-to in `guides`.

Nothing here imports ccxt, and validation needs no guide, so that the keyholder can load it at start.
"""

from vaultd.kinds.catalogue import Catalogue
from vaultd.kinds.guides import Guide, guide_for
from vaultd.kinds.kind import (
    Encoding,
    Evidence,
    Expiry,
    Field,
    KeyFormat,
    Kind,
    Need,
    PermissionsEndpoint,
    ReadablePath,
    Shape,
    Tombstone,
    TombstoneState,
)

__all__ = [
    "Catalogue",
    "Encoding",
    "Evidence",
    "Expiry",
    "Field",
    "Guide",
    "KeyFormat",
    "Kind",
    "Need",
    "PermissionsEndpoint",
    "ReadablePath",
    "Shape",
    "Tombstone",
    "TombstoneState",
    "guide_for",
]
