"""Bodies that people have sent to 3Commas, Dfns or Cadenza, one or a list of them; and this project's own shape."""

from typing import Any

from vaultd_client.drafts import draft
from vaultd_client.errors import InvalidError
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, LeftOut, Reading, sorted_out
from vaultd_client.imports.words import without_markets

_DFNS = {"readConfiguration", "writeConfiguration"}
_PAIR = {"api_key", "apiKey", "publicApiKey"}


def fits_dfns(document: Any) -> bool:
    """Says whether this is what Dfns takes."""
    return any(_DFNS & {*each} for each in _objects(document))


def fits_cadenza(document: Any) -> bool:
    """Says whether this is what Cadenza takes."""
    return any({"venue", "apiKey"} <= {*each} for each in _objects(document))


def fits_3commas(document: Any) -> bool:
    """Says whether this is what 3Commas takes, or a flat pair of another service."""
    return any(
        _PAIR & {*each} and {"type", "kind", "market_code"} & {*each} and "venue" not in each
        for each in _objects(document)
    )


def read(document: Any) -> Reading:
    """Returns one entry for each body.

    Raises:
        InvalidError: There is no such body in it.
    """
    bodies = document if isinstance(document, list) else [document]
    if not bodies or not all(isinstance(each, dict) for each in bodies):
        raise InvalidError("that is neither an exchange nor a list of exchanges", hint=shapes.OTHER)
    alone = len(bodies) == 1
    found = [_body("document" if alone else f"entry {number}", each) for number, each in enumerate(bodies, 1)]
    return sorted_out(found, only_keys=True)


def _body(where: str, body: dict[str, Any]) -> Entry | LeftOut:
    name = shapes.text(body.get("name"))
    try:
        drawn = draft(body)
    except InvalidError as error:
        return LeftOut(where, name, "; ".join(f"{field}: {text}" for field, text in error.fields.items()))
    if not drawn.configurations:
        return shapes.empty(where, name)
    return Entry(
        where=where,
        name=drawn.name,
        venues=without_markets(drawn.kind) if drawn.kind else (),
        pairs=drawn.configurations,
        environment=drawn.environment,
        labels=drawn.labels,
        market_types=drawn.market_types,
        hidden=drawn.hidden,
    )


def _objects(document: Any) -> list[dict[str, Any]]:
    return [each for each in (document if isinstance(document, list) else [document]) if isinstance(each, dict)]
