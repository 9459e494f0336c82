"""FORMAT.md's evidence of tampering: tags, store MAC, audit chain and anchor of the vectors hold, and of nothing else.

`test_format.py` has the keys and credentials, `test_format_page.py` the page itself.
"""

import dataclasses
import hmac
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.formats import AUDIT, CREDENTIALS, EXCHANGE, KEYS, KINDS, ROWS, VAULT, VAULT_ID, flips
from vaultd.crypto import integrity
from vaultd.errors import StoreDamagedError
from vaultd.keyholder.ledger import Ledger
from vaultd.model import IntegrityRow, Row
from vaultd.packing import pack_row

OTHER_VAULT = bytes(16)


def ledger_of(vault_id: bytes = VAULT_ID, schema_version: int = 1) -> Ledger:
    keys = (memoryview(KEYS[name]) for name in ("row", "integrity", "audit"))
    return Ledger(vault_id, schema_version, *keys)


def loaded(rows: list[Row] | None = None, **options: Any) -> Ledger:
    ledger = ledger_of(**options)
    for row in ROWS if rows is None else rows:
        tag, _ = integrity.row_tag(KEYS["row"], row.table, row.values())
        load(ledger, row.table, row.values(), tag)
    return ledger


def load(ledger: Ledger, table: str, values: Sequence[Any], tag: bytes) -> None:
    ledger.load_page(table, [pack_row(table, values)], [tag])


def refused_at(ledger: Ledger, **changes: Any) -> None:
    """Asserts that the vector's integrity row, with `changes`, does not fit what `ledger` has loaded."""
    with pytest.raises(StoreDamagedError):
        ledger.open_at(IntegrityRow(**{**VAULT["store"]["row"], **changes}), AUDIT[-1], len(AUDIT))


def test_every_packed_row_tag_and_element_is_the_vector() -> None:
    assert {row.table for row in ROWS} == KINDS.keys()
    for row, vector in zip(ROWS, VAULT["rows"], strict=True):
        assert pack_row(row.table, row.values()) == vector["packed"]
        assert integrity.row_tag(KEYS["row"], row.table, row.values()) == (vector["tag"], vector["element"])


def test_the_store_of_the_vectors_loads_and_its_mac_fits() -> None:
    ledger = loaded()
    ledger.open_at(IntegrityRow(**VAULT["store"]["row"]), AUDIT[-1], len(AUDIT))
    assert ledger.generation == 3
    assert [*ledger.counts.values()] == VAULT["store"]["counts"]


def test_every_audit_entry_follows_the_one_before() -> None:
    previous = integrity.first_audit_head(VAULT_ID)
    assert previous == VAULT["first_head"]
    for entry in AUDIT:
        assert ledger_of().check_entry(previous, entry)
        previous = entry.mac


def test_the_anchor_is_read_and_written_byte_for_byte() -> None:
    head = AUDIT[-1].mac
    assert integrity.read_anchor(KEYS["audit"], VAULT_ID, VAULT["anchor"]) == (3, head)
    assert integrity.make_anchor(KEYS["audit"], VAULT_ID, 3, head) == VAULT["anchor"]


def test_fingerprints_are_those_of_the_vectors() -> None:
    for row, vector in zip(CREDENTIALS, VAULT["credentials"], strict=True):
        made = integrity.fingerprint(KEYS["fingerprint"], EXCHANGE.kind, EXCHANGE.environment, vector["api_key"])
        assert made == row.fingerprint


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_with_any_bit_of_its_tag_flipped_is_refused(number: int) -> None:
    row, tag = ROWS[number], VAULT["rows"][number]["tag"]
    for changed in flips(tag):
        with pytest.raises(StoreDamagedError):
            load(ledger_of(), row.table, row.values(), changed)
    load(ledger_of(), row.table, row.values(), tag)


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_with_any_column_changed_is_refused(number: int) -> None:
    row, tag = ROWS[number], VAULT["rows"][number]["tag"]
    for at, value in enumerate(row.values()):
        for changed in (
            [value + 1, 0, value << 1] if isinstance(value, int) else [value + value[:1], value[:0], value[1:]]
        ):
            if changed == value:
                continue
            values = list(row.values())
            values[at] = changed
            with pytest.raises(StoreDamagedError):
                load(ledger_of(), row.table, values, tag)


def test_a_value_of_another_type_has_another_tag() -> None:
    assert integrity.row_tag(bytes(32), "t", ["1"]) != integrity.row_tag(bytes(32), "t", [b"1"])
    assert integrity.row_tag(bytes(32), "t", [1]) != integrity.row_tag(bytes(32), "t", ["1"])
    assert integrity.row_tag(bytes(32), "t", ["ab", "c"]) != integrity.row_tag(bytes(32), "t", ["a", "bc"])


def test_a_row_written_into_another_table_is_refused() -> None:
    row, vector = ROWS[0], VAULT["rows"][0]
    for table in KINDS.keys() - {row.table}:
        with pytest.raises(StoreDamagedError):
            load(ledger_of(), table, row.values(), vector["tag"])
        # Packed for its true table, so that its tag is right, and handed in as a row of this one.
        with pytest.raises(StoreDamagedError):
            ledger_of().load_page(table, [vector["packed"]], [vector["tag"]])
    ledger_of().load_page(row.table, [vector["packed"]], [vector["tag"]])


def test_a_row_loaded_twice_is_refused() -> None:
    for vector in VAULT["rows"]:
        once, tag = [vector["packed"]], [vector["tag"]]
        with pytest.raises(StoreDamagedError):
            ledger_of().load_page(vector["table"], once * 2, tag * 2)
        ledger = ledger_of()
        ledger.load_page(vector["table"], once, tag)
        with pytest.raises(StoreDamagedError):
            ledger.load_page(vector["table"], once, tag)


@pytest.mark.parametrize("left_out", range(len(ROWS)))
def test_a_store_without_one_of_its_rows_is_refused(left_out: int) -> None:
    refused_at(loaded(ROWS[:left_out] + ROWS[left_out + 1 :]))


def test_a_store_with_a_row_more_is_refused() -> None:
    refused_at(loaded([*ROWS, dataclasses.replace(EXCHANGE, exchange="ex-more")]))


def test_a_store_with_an_older_row_under_its_true_tag_is_refused() -> None:
    older = dataclasses.replace(EXCHANGE, state="DISABLED")
    refused_at(loaded([older if row == EXCHANGE else row for row in ROWS]))


def test_the_store_mac_covers_vault_schema_generation_time_and_itself() -> None:
    refused_at(loaded(vault_id=OTHER_VAULT), vault_id=OTHER_VAULT)
    refused_at(loaded(schema_version=2))
    refused_at(loaded(), generation=4)
    refused_at(loaded(), time_ms=VAULT["store"]["row"]["time_ms"] + 1)
    ledger = loaded()
    for mac in flips(VAULT["store"]["row"]["mac"]):
        refused_at(ledger, mac=mac)


def test_a_cut_audit_is_refused() -> None:
    ledger = loaded()
    stored = IntegrityRow(**VAULT["store"]["row"])
    for tail, entries in ((AUDIT[1], 2), (None, 0), (AUDIT[-1], 2), (AUDIT[-1], 4)):
        with pytest.raises(StoreDamagedError):
            ledger.open_at(stored, tail, entries)
    ledger.open_at(stored, AUDIT[-1], 3)


def other(value: Any) -> Any:
    """A value of the same type that differs."""
    if isinstance(value, int):
        return value + 1
    return value + (value[:1] or type(value)(b"x" if isinstance(value, bytes) else "x"))


@pytest.mark.parametrize("number", range(len(AUDIT)))
def test_an_audit_entry_with_any_column_changed_breaks_the_chain(number: int) -> None:
    entry, previous = AUDIT[number], VAULT["audit"][number]["previous"]
    for name, value in zip(entry.columns(), entry.values(), strict=True):
        change: dict[str, Any] = {name: other(value)}
        assert not ledger_of().check_entry(previous, dataclasses.replace(entry, **change)), name
    for mac in flips(entry.mac):
        assert not ledger_of().check_entry(previous, dataclasses.replace(entry, mac=mac))
    for head in flips(previous):
        assert not ledger_of().check_entry(head, entry)


def test_an_anchor_with_any_bit_flipped_cut_or_of_another_vault_is_refused() -> None:
    anchor = VAULT["anchor"]
    for changed in [*flips(anchor), *(anchor[:end] for end in range(len(anchor))), anchor + b"\0"]:
        assert integrity.read_anchor(KEYS["audit"], VAULT_ID, changed) is None
    assert integrity.read_anchor(KEYS["audit"], OTHER_VAULT, anchor) is None
    assert integrity.read_anchor(bytes(32), VAULT_ID, anchor) is None


@pytest.mark.parametrize("change", [-1, 1, 32])
def test_an_anchor_of_another_length_is_refused_even_with_a_true_mac(change: int) -> None:
    def made(length: int) -> bytes:
        body: bytes = VAULT["anchor"][:72].ljust(length, b"\0")[:length]
        return body + hmac.digest(KEYS["audit"], b"vaultd-anchor-mac-v1" + body, "sha256")

    assert integrity.read_anchor(KEYS["audit"], VAULT_ID, made(72)) is not None
    assert integrity.read_anchor(KEYS["audit"], VAULT_ID, made(72 + change)) is None


def test_a_fingerprint_tells_kind_environment_and_key_apart() -> None:
    made = [
        integrity.fingerprint(KEYS["fingerprint"], *parts)
        for parts in (("a", "bc", b"d"), ("ab", "c", b"d"), ("a", "b", b"cd"), ("a", "bcd", b""), ("", "abc", b"d"))
    ]
    assert len(set(made)) == len(made)
