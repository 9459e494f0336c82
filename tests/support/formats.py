"""format_v1.json as values, and its generator: an implementation of FORMAT.md of its own."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vaultd.model import TAGGED, AuditRow, CredentialRow, ExchangeRow, Row, SlotRow

VECTORS = Path(__file__).parents[1] / "vectors"
R = TypeVar("R", bound=Row)


def generator() -> ModuleType:
    """Returns make_format_v1.py as a module."""
    spec = importlib.util.spec_from_file_location("make_format_v1", VECTORS / "make_format_v1.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document() -> Any:
    """Returns format_v1.json, with bytes where it has hex after `0x`."""
    return _revived(json.loads((VECTORS / "format_v1.json").read_text()))


def _revived(value: Any) -> Any:
    if isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value
    if isinstance(value, dict):
        return {key: _revived(each) for key, each in value.items()}
    return [_revived(each) for each in value] if isinstance(value, list) else value


def row(kind: type[R], columns: dict[str, Any]) -> R:
    """Returns a row of the model; AssertionError where its columns are not those of the vector, in that order."""
    assert kind.columns() == tuple(columns)
    return kind.of(tuple(columns.values()))


KINDS: dict[str, type[Row]] = {kind.table: kind for kind in TAGGED}
VAULT = document()
VAULT_ID: bytes = VAULT["vault_id"]
KEYS: dict[str, bytes] = VAULT["keys"]
EXCHANGE = row(ExchangeRow, VAULT["exchange"])
SLOTS = [row(SlotRow, each["row"]) for each in VAULT["slots"]]
CREDENTIALS = [row(CredentialRow, each["row"]) for each in VAULT["credentials"]]
AUDIT = [row(AuditRow, each["row"]) for each in VAULT["audit"]]
ROWS = [row(KINDS[each["table"]], each["row"]) for each in VAULT["rows"]]


def flips(blob: bytes) -> list[bytes]:
    """Every value that differs from `blob` in one bit."""
    number = int.from_bytes(blob, "big")
    return [(number ^ 1 << bit).to_bytes(len(blob), "big") for bit in range(8 * len(blob))]
