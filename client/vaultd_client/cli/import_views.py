"""What a person sees of an import, and what `--json` prints of an entry."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from vaultd_client.cli.import_plan import Item, Status
from vaultd_client.cli.session import plain
from vaultd_client.cli.terminal import table
from vaultd_client.cli.views import masks
from vaultd_client.imports.record import Record


def found_table(items: Sequence[Item]) -> Table:
    """Returns one row per entry, with the masks that the vault would show."""
    rows = [
        (
            item.where,
            item.name or "-",
            item.kind or "-",
            item.environment or "-",
            _half(item, "read"),
            _half(item, "write"),
            item.status,
        )
        for item in items
    ]
    return table(("FOUND", "NAME", "KIND", "ENVIRONMENT", "READ", "WRITE", "STATUS"), rows)


def remarks(items: Sequence[Item]) -> list[str]:
    """Returns a line for each reason and notice."""
    lines = []
    for item in items:
        lines += [f"{item.where}: {item.why}"] if item.why else []
        lines += [f"{item.where}: note: {notice}" for notice in item.notices]
    return ["", *lines] if lines else []


def sums(items: Sequence[Item], made: Record) -> list[str]:
    """Returns what became of the entries."""
    lines = [f"imported: {each.name} ({each.exchange})" for each in made.made]
    lines += [
        f"{item.status}: {item.name}" + (f": {item.why}" if item.why else "")
        for item in items
        if item.status in {Status.UNKNOWN, Status.NOT_TRIED} or (item.status is Status.REFUSED and item.shown)
    ]
    if not made.made:
        lines.append("Nothing was imported.")
    else:
        lines.append(f"To take it back: vaultctl import undo {made.id}")
    return lines


def item_document(item: Item) -> dict[str, Any]:
    """Returns an entry as `--json` prints it: masks, no secret."""
    return {
        "where": item.where,
        "name": item.name,
        "kind": item.kind,
        "environment": item.environment,
        "status": item.status.replace(" ", "_"),
        "reason": item.why,
        "notices": item.notices,
        "exchange": plain(item.shown) if item.shown else None,
    }


def _half(item: Item, half: str) -> str:
    found = item.shown.configuration(half) if item.shown else None
    if found and found.credentials:
        return masks(found.credentials[0])
    return "(set)" if half in item.pairs else "-"
