"""The file that Coinbase's developer platform hands out: `{"name": "organizations/...", "privateKey": "..."}`.

What it means is said by `drafts.py`, as for `exchange add`; here are the forms with more in them.
"""

from typing import Any

from vaultd_client.drafts import draft
from vaultd_client.errors import InvalidError
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, Reading

_NAMES = ("name", "id")
"""`id` in files with an Ed25519 key, which is base64 and no PEM block."""


def fits(document: Any) -> bool:
    """Says whether this is such a file."""
    return (
        isinstance(document, dict)
        and bool(shapes.text(document.get("privateKey")))
        and any(shapes.text(document.get(name)) for name in _NAMES)
        and {*document} <= {*_NAMES, "privateKey", "principal", "principalType", "publicKey", "createTime", "projectId",
                            "nickname", "scopes", "allowedIps", "keyType", "enabled", "algorithm"}
    )  # fmt: skip


def read(document: Any) -> Reading:
    """Returns the one key pair of the file.

    Raises:
        InvalidError: It is no such file.
    """
    if not fits(document):
        raise InvalidError("that is no key file of Coinbase: it has no `name` and `privateKey`", hint=shapes.OTHER)
    named = next(name for name in _NAMES if shapes.text(document.get(name)))
    drawn = draft({named: shapes.text(document[named]), "privateKey": document["privateKey"]})
    name, venues = shapes.text(document.get("nickname")), (drawn.kind,) if drawn.kind else ()
    return Reading([Entry(where="privateKey", name=name, venues=venues, pairs=drawn.configurations)], only_keys=True)
