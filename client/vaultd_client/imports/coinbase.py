"""The file that Coinbase's developer platform hands out: `{"name": "organizations/...", "privateKey": "..."}`."""

from typing import Any

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
    key = next(value for name in _NAMES if (value := shapes.text(document.get(name))))
    pair = {"api_key": key, "secret": shapes.text(document["privateKey"])}
    name = shapes.text(document.get("nickname"))
    return Reading([Entry(where="privateKey", name=name, venues=("coinbase",), pairs={"": pair})], only_keys=True)
