"""Looking a kind up by what a person typed, who may have mistyped it."""

import difflib

from vaultd_client.client import VaultClient
from vaultd_client.errors import NotFoundError
from vaultd_client.kinds import Kind


def known_kind(client: VaultClient, wanted: str) -> Kind:
    """Returns a kind by any of its names.

    Raises:
        NotFoundError: There is none; its hint names those that are called alike.
    """
    try:
        return client.kind(wanted)
    except NotFoundError as error:
        hint = _near(client, wanted)
        raise NotFoundError(error.message, reason=error.reason, fields=error.fields, hint=hint) from None


def _near(client: VaultClient, wanted: str) -> str:
    names = {name.lower(): kind for kind in client.kinds() for name in (kind.kind, kind.display_name, *kind.aliases)}
    near = dict.fromkeys(names[name].kind for name in difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.7))
    return f"vaultctl kinds show {' or '.join(near)}" if near else "vaultctl kinds list, or use --kind custom"
