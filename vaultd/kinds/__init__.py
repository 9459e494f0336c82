"""The catalogue of kinds of exchange: data in `data/`, values in `kind`, look-up in `catalogue`, how-to in `guides`.

Nothing here imports ccxt, and validation needs no guide, so that the keyholder can load it at start.
"""

from vaultd.kinds.catalogue import Catalogue
from vaultd.kinds.forms import Verdict, judge
from vaultd.kinds.guides import Guide, guide_for
from vaultd.kinds.kind import (
    EXTRA,
    Algorithm,
    CountsFrom,
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
    "EXTRA",
    "Algorithm",
    "Catalogue",
    "CountsFrom",
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
    "Verdict",
    "guide_for",
    "judge",
]
