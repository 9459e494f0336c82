"""A JSON document with key pairs, read from a descriptor."""

import json
from typing import Any

from vaultd_client.cli.failure import Failure
from vaultd_client.cli.secrets_in import all_from, wiped
from vaultd_client.drafts import Draft, draft


def draft_from(option: str, descriptor: int) -> Draft:
    """Reads a document from a descriptor.

    Raises:
        Failure: The descriptor cannot be used, or what came in is no JSON.
        InvalidError: It is no such document.
    """
    content = all_from(option, descriptor)
    with wiped(content):
        try:
            document = json.loads(content, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise Failure(f"{option}: that is not JSON", 'such as {"api_key": "...", "secret": "..."}') from None
    return draft(document)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that comes twice: which of the two was meant?"""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found
