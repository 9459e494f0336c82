"""FORMAT.md is no prose that ages: its numbers are those of limits.py, its drawings fit the vectors, its labels the code."""

import io
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.formats import AUDIT, CREDENTIALS, KEYS, SLOTS, VAULT, VAULT_ID
from vaultd import limits, restore
from vaultd.crypto import integrity, requests
from vaultd.keyholder.pairs import _IDENTIFYING
from vaultd.model import TAGGED
from vaultd_api.v1.backup_pb2 import BackupManifest
from vaultd_client import backups

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "vaultd" / "crypto" / "FORMAT.md").read_text()
LABEL = re.compile(r"vaultd-[a-z-]+-v\d+")


class Field(NamedTuple):
    offset: int
    length: int
    name: str
    note: str


def numbers() -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^\| `([A-Z0-9_]+)` \| (\d+) \|$", PAGE, re.MULTILINE)}


def drawings() -> dict[str, tuple[int, list[Field]]]:
    """Name of each drawing to its length and fields, with the first credential's length of plaintext for `n`."""
    n = len(VAULT["credentials"][0]["plaintext"])
    found = {}
    for title, rows in re.findall(r"^```\n(.*)\noffset length field\n((?:.+\n)*?)```$", PAGE, re.MULTILINE):
        name, length = re.fullmatch(r"(\w[\w ]*), (28 \+ n|\d+) bytes(?:: .*)?", title).groups()  # type: ignore[union-attr]
        fields = []
        for line in rows.splitlines():
            offset, size, field, *note = line.split(maxsplit=3)
            fields.append(Field(_size(offset, n), _size(size, n), field, "".join(note)))
        found[name] = (_size(length.replace(" ", ""), n), fields)
    return found


def _size(text: str, n: int) -> int:
    return sum(n if part == "n" else int(part) for part in text.split("+"))


DRAWN = drawings()
BYTES = {
    "slot associated data": VAULT["slots"][0]["associated_data"],
    "wrapped_master_key": SLOTS[0].wrapped_master_key,
    "wrapped_keys": VAULT["lasting"]["wrapped_keys"],
    "wrapped_data_key": CREDENTIALS[0].wrapped_data_key,
    "ciphertext": CREDENTIALS[0].ciphertext,
    "mac": VAULT["rows"][0]["tag"] + VAULT["rows"][0]["element"],
    "store message": VAULT["store"]["message"],
    "anchor": VAULT["anchor"],
    "restored anchor": VAULT["restored_anchor"],
}


def parts(name: str) -> list[tuple[str, bytes]]:
    return [(field.name, BYTES[name][field.offset : field.offset + field.length]) for field in DRAWN[name][1]]


def test_every_number_of_the_page_is_that_of_limits() -> None:
    found = numbers()
    assert found == {name: getattr(limits, name) for name in found}
    assert len(found) == 17


def test_every_length_that_the_text_names_is_a_limit_or_drawn() -> None:
    known = {*numbers().values(), 2 * limits.MAC_BYTES, *(length for length, _ in DRAWN.values())}
    words = {"four": 4, "eight": 8}  # of a length and of an integer
    named = {int(number) for number in re.findall(r"(\d+) (?:random )?bytes", PAGE)} - {4, 8}
    assert named
    assert named <= known
    assert {words[word] for word in re.findall(r"\b(four|eight) bytes", PAGE)} == {4, 8}


def test_nothing_that_is_stored_is_left_undrawn() -> None:
    assert DRAWN.keys() == BYTES.keys()


@pytest.mark.parametrize("name", BYTES)
def test_a_drawing_has_no_gap_and_the_length_of_its_vector(name: str) -> None:
    length, fields = DRAWN[name]
    ends = [0, *itertools.accumulate(field.length for field in fields)]
    assert [field.offset for field in fields] == ends[:-1]
    assert length == ends[-1] == len(BYTES[name])


@pytest.mark.parametrize("name", BYTES)
def test_a_field_has_the_length_that_limits_gives_its_name(name: str) -> None:
    wanted = {
        "nonce": limits.NONCE_BYTES,
        "salt": limits.SALT_BYTES,
        "vault_id": 16,
        "magic": 16,
        "mac": limits.MAC_BYTES,
        "element": limits.MAC_BYTES,
        "audit_head": limits.MAC_BYTES,
        "tag": limits.MAC_BYTES if name == "mac" else limits.TAG_BYTES,
    }
    for field in DRAWN[name][1]:
        assert field.length == wanted.get(field.name, field.length), field


def test_each_length_in_the_associated_data_is_that_of_the_part_after_it() -> None:
    fields, values = DRAWN["slot associated data"][1], parts("slot associated data")
    for field, (_, head), (_, part) in zip(fields[::2], values[::2], values[1::2], strict=True):
        assert field.name == "length"
        assert int(field.note) == int.from_bytes(head, "big") == len(part)
    row = SLOTS[0]
    drawn = {name: value for name, value in values if name != "length"}
    assert drawn.pop("label") == b"vaultd-slot-v1"
    assert drawn.pop("vault_id") == VAULT_ID
    for name, value in drawn.items():
        stored = getattr(row, name)
        raw = stored.encode() if isinstance(stored, str) else stored
        assert value == (raw.to_bytes(8, "big") if isinstance(raw, int) else raw), name


def test_the_store_message_holds_what_the_page_says_where_it_says() -> None:
    drawn, store = dict(parts("store message")), VAULT["store"]
    assert drawn["magic"] == b"vaultd-store-v1\0"
    assert drawn["vault_id"] == VAULT_ID
    assert int.from_bytes(drawn["schema_version"], "big") == store["schema_version"]
    assert int.from_bytes(drawn["generation"], "big") == AUDIT[-1].sequence
    assert int.from_bytes(drawn["time_ms"], "big") == store["row"]["time_ms"]
    assert int.from_bytes(drawn["tables"], "big") == len(TAGGED)
    assert drawn["counts"] == b"".join(count.to_bytes(8, "big") for count in store["counts"])
    elements = (int.from_bytes(row["element"], "big") for row in VAULT["rows"])
    assert int.from_bytes(drawn["sum"], "big") == sum(elements) % 2**256
    assert drawn["audit_head"] == AUDIT[-1].mac
    total = int.from_bytes(store["sum"], "big")
    made = integrity.store_mac(
        KEYS["integrity"], VAULT_ID, 1, 3, store["row"]["time_ms"], store["counts"], total, AUDIT[-1].mac
    )
    assert made == store["row"]["mac"]


def test_the_anchor_holds_what_the_page_says_where_it_says() -> None:
    drawn = dict(parts("anchor"))
    assert drawn["magic"] == integrity.ANCHOR_MAGIC
    assert drawn["vault_id"] == VAULT_ID
    assert int.from_bytes(drawn["generation"], "big") == AUDIT[-1].sequence
    assert drawn["audit_head"] == AUDIT[-1].mac
    assert DRAWN["anchor"][0] == integrity.ANCHOR_BYTES


def test_the_restored_anchor_holds_what_the_page_says_where_it_says() -> None:
    drawn = dict(parts("restored anchor"))
    assert drawn["magic"] == integrity.RESTORE_MAGIC == restore.RESTORE_MAGIC
    assert int.from_bytes(drawn["replaced"], "big") == 5
    assert drawn["anchor"] == VAULT["anchor"]
    assert integrity.restored_anchor(VAULT["restored_anchor"]) == (VAULT["anchor"], 5)
    assert integrity.restored_anchor(VAULT["anchor"]) is None


def test_daemon_and_client_write_and_read_the_backup_of_the_page() -> None:
    backup = VAULT["backup"]
    assert requests.sign_manifest(KEYS["identity"], backup["manifest"]) == backup["signature"]
    made = backups.make_header(backup["manifest"], backup["signature"])
    assert made.raw == backup["header"]
    assert backups.MAGIC == restore.MAGIC == requests.BACKUP_MAGIC
    stream = io.BytesIO(backup["header"] + backup["store"])
    read = backups.read_header(stream)
    assert read == made
    assert (read.manifest.generation, read.manifest.slots) == (3, ((1, "passphrase", "passphrase"),))
    assert b"".join(backups.whole(read, iter([stream.read()]))) == backup["header"] + backup["store"]
    message = BackupManifest.FromString(backup["manifest"])
    assert message.SerializeToString() == backup["manifest"]
    assert message.anchor == VAULT["anchor"]


def test_the_order_of_the_tables_is_that_of_the_model() -> None:
    sentence = re.search(r"^For every row of (.*):$", PAGE, re.MULTILINE)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == [kind.table for kind in TAGGED]


def test_every_label_of_the_code_is_on_a_page_and_every_one_of_the_page_in_the_code() -> None:
    code = {
        label
        for package in ("crypto", "keyholder")
        for path in (ROOT / "vaultd" / package).glob("*.py")
        for label in LABEL.findall(path.read_text())
    }
    page = set(LABEL.findall(PAGE))
    wire = set(LABEL.findall((ROOT / "proto" / "README.md").read_text()))
    assert page <= code
    assert code <= page | wire
    assert len(code) == len(page) + len(wire - page)


def test_the_identifying_fields_are_where_the_page_points() -> None:
    assert _IDENTIFYING[0] == "api_key"
    assert "vaultd/keyholder/pairs.py" in PAGE
