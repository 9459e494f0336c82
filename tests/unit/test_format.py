"""The keys and credentials of FORMAT.md: old bytes open, changed or moved ones do not.

The vectors were written by hand after the page; tests/vectors/make_format_v1.py knows nothing of the code.
`test_format_rows.py` has tags, store MAC, audit and anchor, `test_format_page.py` the page itself.
"""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.support.formats import CREDENTIALS, EXCHANGE, KEYS, SLOTS, VAULT, VAULT_ID, VECTORS, flips, generator
from vaultd.crypto import aead, envelope, kdf
from vaultd.errors import KdfOutOfBoundsError, StoreDamagedError
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.keyholder.slots import check_row
from vaultd.limits import FORMAT_VERSION, KEY_BYTES, KIB
from vaultd.model import CredentialRow, ExchangeRow, KdfParameters, SlotKind

Opener = Callable[[Any, memoryview], None]
OTHER_VAULT = bytes(16)


def opened(opener: Opener, blob: Any, length: int = KEY_BYTES) -> bytes:
    out = bytearray(length)
    opener(blob, memoryview(out))
    return bytes(out)


def slot_opener(number: int) -> tuple[bytes, Opener]:
    row, key = SLOTS[number], VAULT["slots"][number]["slot_key"]
    return row.wrapped_master_key, lambda blob, out: envelope.unwrap_master_key(
        key, VAULT_ID, dataclasses.replace(row, wrapped_master_key=blob), out
    )


def keys_opener() -> tuple[bytes, Opener]:
    return VAULT["lasting"]["wrapped_keys"], lambda blob, out: envelope.unwrap_lasting_keys(
        KEYS["wrapping"], blob, VAULT_ID, out
    )


def data_key_opener(number: int) -> tuple[bytes, Opener]:
    row = CREDENTIALS[number]
    return row.wrapped_data_key, lambda blob, out: envelope.unwrap_data_key(
        KEYS["wrapping"], VAULT_ID, EXCHANGE, dataclasses.replace(row, wrapped_data_key=blob), out
    )


def credential_opener(number: int) -> tuple[bytes, Opener]:
    row, data_key = CREDENTIALS[number], VAULT["credentials"][number]["data_key"]
    return row.ciphertext, lambda blob, out: envelope.decrypt_credential(
        data_key, VAULT_ID, EXCHANGE, dataclasses.replace(row, ciphertext=blob), out
    )


BLOBS = {
    "slot 1": (slot_opener(0), KEYS["master"]),
    "slot 2": (slot_opener(1), KEYS["master"]),
    "slot 3": (slot_opener(2), KEYS["master"]),
    "keys": (keys_opener(), VAULT["lasting"]["plaintext"]),
    **{
        f"data key {number}": (data_key_opener(number), VAULT["credentials"][number]["data_key"]) for number in range(3)
    },
    **{
        f"credential {number}": (credential_opener(number), VAULT["credentials"][number]["plaintext"])
        for number in range(3)
    },
}


# --- what is old opens ------------------------------------------------------------------------------------------


def test_the_vectors_are_what_their_generator_writes() -> None:
    assert (VECTORS / "format_v1.json").read_text() == generator().text()


def test_the_code_writes_the_newest_version_that_has_vectors() -> None:
    newest = max(int(path.stem.removeprefix("format_v")) for path in VECTORS.glob("format_v*.json"))
    assert newest == FORMAT_VERSION == VAULT["format_version"]


@pytest.mark.parametrize("number", range(3))
def test_the_secret_of_a_slot_gives_its_key(number: int) -> None:
    vector, row = VAULT["slots"][number], SLOTS[number]
    secret, out = memoryview(bytearray(vector["secret"])), bytearray(KEY_BYTES)
    if row.kind == SlotKind.MACHINE:
        kdf.machine_slot_key(secret, row.salt, memoryview(out))
    else:
        kdf.slot_key(secret, row.salt, KdfParameters(row.memory_kib, row.passes, row.lanes), memoryview(out))
    assert out == vector["slot_key"]


def test_the_master_key_gives_the_other_keys() -> None:
    with closing(SecretMemory(KIB)) as memory, closing(Keys(memory)) as keys:
        keys.master[:] = KEYS["master"]
        keys.derive(VAULT_ID)
        keys.unwrap_lasting(VAULT["lasting"]["wrapped_keys"], VAULT_ID)
        names = ("wrapping", "row", "integrity", "identity", "audit", "fingerprint")
        assert {name: bytes(getattr(keys, name)) for name in names} == {name: KEYS[name] for name in names}


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_opens(name: str) -> None:
    (blob, opener), plaintext = BLOBS[name]
    assert opened(opener, blob, len(plaintext)) == plaintext


def test_associated_data_is_byte_for_byte_the_vector() -> None:
    for row, vector in zip(SLOTS, VAULT["slots"], strict=True):
        assert envelope._slot_place(VAULT_ID, row) == vector["associated_data"]
    assert aead.associated_data(b"vaultd-keys-v1", VAULT_ID) == VAULT["lasting"]["associated_data"]
    for credential, vector in zip(CREDENTIALS, VAULT["credentials"], strict=True):
        for purpose, name in ((b"data-key", "data_key_associated_data"), (b"credential", "associated_data")):
            place = envelope.credential_place(
                VAULT_ID, EXCHANGE, credential.configuration, credential.version, b"vaultd-" + purpose + b"-v1"
            )
            assert place == vector[name]


# --- what the code writes, the page reads -----------------------------------------------------------------------


def test_what_the_code_seals_the_page_opens() -> None:
    page = generator()
    row = SLOTS[0]
    wrapped = envelope.wrap_master_key(bytes(32), KEYS["master"], VAULT_ID, row)
    assert page.opened(bytes(32), wrapped, page.slot_place(dataclasses.asdict(row))) == KEYS["master"]
    lasting = VAULT["lasting"]["plaintext"]
    wrapped = envelope.wrap_lasting_keys(KEYS["wrapping"], lasting, VAULT_ID)
    assert page.opened(KEYS["wrapping"], wrapped, page.keys_place()) == lasting
    data_key = bytearray(KEY_BYTES)
    wrapped, ciphertext = envelope.encrypt_credential(
        KEYS["wrapping"], memoryview(data_key), VAULT_ID, EXCHANGE, "write", 7, b"a key pair"
    )
    exchange = dataclasses.asdict(EXCHANGE)
    place = page.credential_place(b"vaultd-data-key-v1", exchange, "write", 7)
    assert page.opened(KEYS["wrapping"], wrapped, place) == data_key
    place = page.credential_place(b"vaultd-credential-v1", exchange, "write", 7)
    assert page.opened(bytes(data_key), ciphertext, place) == b"a key pair"


def test_no_nonce_and_no_data_key_is_used_twice() -> None:
    made = []
    for _ in range(64):
        data_key = bytearray(KEY_BYTES)
        blobs = envelope.encrypt_credential(KEYS["wrapping"], memoryview(data_key), VAULT_ID, EXCHANGE, "read", 1, b"x")
        made += [bytes(data_key), *(blob[:12] for blob in blobs)]
    assert len(set(made)) == len(made) == 3 * 64


# --- what is changed does not open ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_with_any_bit_flipped_does_not_open(name: str) -> None:
    (blob, opener), plaintext = BLOBS[name]
    out = memoryview(bytearray(len(plaintext)))
    for changed in flips(blob):
        with pytest.raises(StoreDamagedError):
            opener(changed, out)
    opener(blob, out)


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_cut_short_or_made_longer_does_not_open(name: str) -> None:
    (blob, opener), plaintext = BLOBS[name]
    exact = not name.startswith("credential")  # a credential may have any length
    for changed in [blob[:end] for end in range(len(blob))] + [blob + b"\0", blob * 2]:
        length = len(plaintext) if exact else max(0, len(changed) - 28)
        with pytest.raises(StoreDamagedError):
            aead.plaintext_length(changed)
            opened(opener, changed, length)


SLOT_CHANGES = {
    "number": {"slot": 4},
    "kind": {"kind": "recovery"},
    "memory": {"memory_kib": 65537},
    "passes": {"passes": 4},
    "lanes": {"lanes": 3},
    "salt": {"salt": bytes(16)},
}


@pytest.mark.parametrize("change", SLOT_CHANGES.values(), ids=SLOT_CHANGES)
def test_a_slot_that_says_something_else_does_not_open(change: dict[str, Any]) -> None:
    key = VAULT["slots"][0]["slot_key"]
    with pytest.raises(StoreDamagedError):
        opened(
            lambda row, out: envelope.unwrap_master_key(key, VAULT_ID, row, out),
            dataclasses.replace(SLOTS[0], **change),
        )


def test_a_slot_of_another_vault_does_not_open() -> None:
    key = VAULT["slots"][0]["slot_key"]
    with pytest.raises(StoreDamagedError):
        opened(lambda row, out: envelope.unwrap_master_key(key, OTHER_VAULT, row, out), SLOTS[0])
    with pytest.raises(StoreDamagedError):
        opened(
            lambda blob, out: envelope.unwrap_lasting_keys(KEYS["wrapping"], blob, OTHER_VAULT, out),
            VAULT["lasting"]["wrapped_keys"],
            96,
        )


PLACES: dict[str, tuple[bytes, dict[str, Any], dict[str, Any]]] = {
    "exchange": (
        VAULT_ID,
        {"exchange": "ex-zzzzz-fghij-klmnopqrstuvwxy"},
        {"exchange": "ex-zzzzz-fghij-klmnopqrstuvwxy"},
    ),
    "configuration": (VAULT_ID, {}, {"configuration": "write"}),
    "version": (VAULT_ID, {}, {"version": 2}),
    "kind": (VAULT_ID, {"kind": "kraken"}, {}),
    "environment": (VAULT_ID, {"environment": "testnet"}, {}),
    "vault": (OTHER_VAULT, {}, {}),
}


def open_at(vault_id: bytes, exchange: ExchangeRow, row: CredentialRow) -> list[Callable[[], bytes]]:
    data_key = VAULT["credentials"][0]["data_key"]
    return [
        lambda: opened(
            lambda moved, out: envelope.unwrap_data_key(KEYS["wrapping"], vault_id, exchange, moved, out), row
        ),
        lambda: opened(
            lambda moved, out: envelope.decrypt_credential(data_key, vault_id, exchange, moved, out),
            row,
            aead.plaintext_length(row.ciphertext),
        ),
    ]


@pytest.mark.parametrize(("vault_id", "exchange", "row"), PLACES.values(), ids=PLACES)
def test_a_credential_moved_to_another_place_does_not_open(
    vault_id: bytes, exchange: dict[str, Any], row: dict[str, Any]
) -> None:
    here = open_at(VAULT_ID, EXCHANGE, CREDENTIALS[0])
    there = open_at(vault_id, dataclasses.replace(EXCHANGE, **exchange), dataclasses.replace(CREDENTIALS[0], **row))
    for opens, moved in zip(here, there, strict=True):
        assert opens()
        with pytest.raises(StoreDamagedError):
            moved()


def test_a_data_key_is_not_a_credential_and_a_credential_not_a_data_key() -> None:
    # The same place, another purpose: what is wrapped for one column does not open in the other.
    places = [VAULT["credentials"][0][name] for name in ("data_key_associated_data", "associated_data")]
    out = memoryview(bytearray(KEY_BYTES))
    aead.decrypt_into(KEYS["wrapping"], CREDENTIALS[0].wrapped_data_key, places[0], out)
    with pytest.raises(StoreDamagedError):
        aead.decrypt_into(KEYS["wrapping"], CREDENTIALS[0].wrapped_data_key, places[1], out)


DAMAGED: dict[str, tuple[int, dict[str, Any], type[Exception]]] = {
    "memory below the floor": (0, {"memory_kib": 65535}, KdfOutOfBoundsError),
    "memory above the ceiling": (0, {"memory_kib": 1048577}, KdfOutOfBoundsError),
    "too few passes": (0, {"passes": 2}, KdfOutOfBoundsError),
    "too many passes": (0, {"passes": 11}, KdfOutOfBoundsError),
    "no lanes": (0, {"lanes": 0}, KdfOutOfBoundsError),
    "too many lanes": (0, {"lanes": 9}, KdfOutOfBoundsError),
    "a negative memory": (1, {"memory_kib": -1}, KdfOutOfBoundsError),
    "a short salt": (0, {"salt": bytes(15)}, StoreDamagedError),
    "no number": (0, {"slot": 0}, StoreDamagedError),
    "a machine slot with a cost": (2, {"memory_kib": 65536}, StoreDamagedError),
    "a machine slot with a negative cost": (2, {"passes": -1}, StoreDamagedError),
}


@pytest.mark.parametrize(("number", "change", "error"), DAMAGED.values(), ids=DAMAGED)
def test_a_stored_slot_that_asks_for_what_no_slot_may_is_refused_before_any_work(
    number: int, change: dict[str, Any], error: type[Exception]
) -> None:
    check_row(SLOTS[number])
    with pytest.raises(error):
        check_row(dataclasses.replace(SLOTS[number], **change))
