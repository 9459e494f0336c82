"""Makes format_v1.json: one small vault, written after the drawings in vaultd/crypto/FORMAT.md and nothing of the project.

usage: python tests/vectors/make_format_v1.py

MessagePack, HKDF and the associated data are written out here. AES-GCM, Ed25519 and Argon2id are those of `cryptography`
(the daemon's Argon2id is another implementation), HMAC, SHA-256 and BLAKE2b those of Python. Nonces, which the daemon draws at
random, are hashes of their purpose, so that the file repeats itself. Keys of RFC 8032, section 7.1; the others count upwards.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

HERE = Path(__file__).parent
PROVENANCE = "tests/vectors/make_format_v1.py: written by hand after vaultd/crypto/FORMAT.md; keys of RFC 8032 7.1"

VAULT_ID = bytes(range(0x10))
MASTER = bytes(range(0x40, 0x60))
IDENTITY = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
AUDIT = bytes(range(0x60, 0x80))
FINGERPRINT = bytes(range(0x80, 0xA0))
CLIENT = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")

PASSPHRASE = b"correct horse battery staple"
RECOVERY = bytes(range(20))
MACHINE = bytes(range(0xA0, 0xC0))
COST = (65536, 3, 4)

EXCHANGE = "ex-abcde-fghij-klmnopqrstuvwxy"
CREATED_MS = 1_700_000_000_000
CHECKED = (
    "OK",
    (
        '{"checked_ms":1700000000500,"expires":"YES","expires_ms":1710000000000,"ip_bound":"YES","means":"ENDPOINT",'
        '"problem":"","read":"YES","trade":"NO","transfer":"UNKNOWN","withdraw":"NO"}'
    ),
    1_720_000_000_000,
)
"""Columns key_state, key_check and expires_ms of a version that was checked at its exchange."""
SCHEMA_VERSION = 1
TABLES = ("vault", "slots", "exchanges", "credentials", "clients", "grants")


# --- encodings --------------------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """MessagePack in its shortest form: arrays, text, bytes, unsigned integers."""
    if isinstance(value, int):
        for limit, head, size in ((1 << 8, 0xCC, 1), (1 << 16, 0xCD, 2), (1 << 32, 0xCE, 4), (1 << 64, 0xCF, 8)):
            if value < limit:
                return bytes([value]) if value < 0x80 else bytes([head]) + value.to_bytes(size, "big")
    if isinstance(value, str):
        raw = value.encode()
        return _sized(len(raw), 0xA0, 32, (0xD9, 0xDA)) + raw
    if isinstance(value, bytes):
        return _sized(len(value), 0, 0, (0xC4, 0xC5)) + value
    return _sized(len(value), 0x90, 16, (0, 0xDC)) + b"".join(pack(each) for each in value)


def _sized(length: int, short: int, below: int, heads: tuple[int, int]) -> bytes:
    if length < below:
        return bytes([short | length])
    if length < 1 << 8 and heads[0]:
        return bytes([heads[0], length])
    return bytes([heads[1]]) + length.to_bytes(2, "big")


def place(*parts: bytes | str | int) -> bytes:
    """Associated data: every part after its length in four bytes, integers in eight bytes."""
    raws = [
        part.to_bytes(8, "big") if isinstance(part, int) else part.encode() if isinstance(part, str) else part
        for part in parts
    ]
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block of output."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")


def seal(key: bytes, plaintext: bytes, aad: bytes, purpose: str) -> bytes:
    """Nonce, ciphertext, tag."""
    nonce = hashlib.sha256(f"nonce of {purpose}".encode()).digest()[:12]
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def opened(key: bytes, blob: bytes, aad: bytes) -> bytes:
    """The plaintext of what the daemon has sealed."""
    return AESGCM(key).decrypt(blob[:12], blob[12:], aad)


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


# --- places -----------------------------------------------------------------------------------------------------


def slot_place(row: dict[str, Any]) -> bytes:
    names = ("slot", "kind", "memory_kib", "passes", "lanes", "salt")
    return place(b"vaultd-slot-v1", VAULT_ID, *(row[name] for name in names))


def keys_place() -> bytes:
    return place(b"vaultd-keys-v1", VAULT_ID)


def credential_place(purpose: bytes, exchange: dict[str, Any], configuration: str, version: int) -> bytes:
    return place(
        purpose, VAULT_ID, 1, exchange["exchange"], configuration, version, exchange["kind"], exchange["environment"]
    )


# --- the vault --------------------------------------------------------------------------------------------------


@dataclass
class Vault:
    """All rows, each with its columns in order, and what else the vectors hold."""

    uid: int
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    integrity: dict[str, Any] = field(default_factory=dict)
    anchor: bytes = b""
    document: dict[str, Any] = field(default_factory=dict)

    wrapping = hkdf(MASTER, VAULT_ID, b"vaultd-wrapping-v1")
    row_key = hkdf(MASTER, VAULT_ID, b"vaultd-row-v1")
    integrity_key = hkdf(MASTER, VAULT_ID, b"vaultd-integrity-v1")

    def tag(self, table: str, row: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
        """Packed row, tag, element."""
        packed = pack([table, *row.values()])
        both = hashlib.blake2b(packed, key=self.row_key, digest_size=64, person=b"vaultd-row-v1\0\0\0").digest()
        return packed, both[:32], both[32:]


def columns(names: str, *values: Any) -> dict[str, Any]:
    """A row: the columns' names in order, and their values."""
    return dict(zip(names.split(), values, strict=True))


def _slots(vault: Vault) -> list[dict[str, Any]]:
    made = []
    names = "slot kind label memory_kib passes lanes salt wrapped_master_key created_ms"
    for number, kind, label, secret, cost in (
        (1, "passphrase", "passphrase", PASSPHRASE, COST),
        (2, "recovery", "recovery code", RECOVERY, COST),
        (3, "machine", "tpm", MACHINE, (0, 0, 0)),
    ):
        salt = bytes(range(16 * number, 16 * number + 16))
        if kind == "machine":
            key = hkdf(secret, salt, b"vaultd-machine-slot-v1")
        else:
            key = Argon2id(salt=salt, length=32, memory_cost=cost[0], iterations=cost[1], lanes=cost[2]).derive(secret)
        row = columns(names, number, kind, label, *cost, salt, b"", CREATED_MS)
        aad = slot_place(row)
        row["wrapped_master_key"] = seal(key, MASTER, aad, f"slot {number}")
        vault.rows.append(("slots", row))
        made.append({"secret": secret, "slot_key": key, "associated_data": aad, "row": row})
    return made


def _fingerprint(kind: str, environment: str, api_key: bytes) -> bytes:
    return mac(FINGERPRINT, b"vaultd-fingerprint-v1", place(kind, environment), api_key)


def _credentials(vault: Vault, exchange: dict[str, Any]) -> list[dict[str, Any]]:
    made = []
    names = (
        "exchange configuration version state key_state key_check expires_ms fingerprint masks wrapped_data_key ciphertext"
        " created_ms updated_ms"
    )
    for configuration, version, state, api_key in (
        ("read", 1, "PREVIOUS", b"READ-key-abcdefgh-0001"),
        ("read", 2, "ACTIVE", b"READ-key-abcdefgh-0002"),
        ("write", 1, "ACTIVE", b"WRITE-key-abcdefgh-0001"),
    ):
        secret = b"SECRET-of-" + api_key
        # Fields 1 and 2 of CredentialFields.
        plaintext = b"\x0a" + bytes([len(api_key)]) + api_key + b"\x12" + bytes([len(secret)]) + secret
        data_key = hashlib.sha256(f"data key of {configuration} {version}".encode()).digest()
        key_aad = credential_place(b"vaultd-data-key-v1", exchange, configuration, version)
        aad = credential_place(b"vaultd-credential-v1", exchange, configuration, version)
        mask = api_key[:4].decode() + "…" + api_key[-4:].decode()
        place_of = (EXCHANGE, configuration, version)
        check = CHECKED if version == 2 else ("UNKNOWN", "{}", 0)
        known = (state, *check, _fingerprint("binance", "live", api_key), f'{{"api_key":"{mask}","secret":""}}')
        wrapped = seal(vault.wrapping, data_key, key_aad, f"data key of {configuration} {version}")
        ciphertext = seal(data_key, plaintext, aad, f"{configuration} {version}")
        times = (CREATED_MS + version, CREATED_MS + version)
        row = columns(names, *place_of, *known, wrapped, ciphertext, *times)
        vault.rows.append(("credentials", row))
        secrets = {"api_key": api_key, "data_key": data_key, "plaintext": plaintext}
        made.append({**secrets, "data_key_associated_data": key_aad, "associated_data": aad, "row": row})
    return made


def _audit(vault: Vault) -> list[dict[str, Any]]:
    made = []
    names = "sequence time_ms method decision rule client uid pid unit started_ms exchange configuration version detail count"
    head = hashlib.sha256(b"vaultd-audit-first-v1" + VAULT_ID).digest()
    for number, (method, rule, exchange, configuration, version) in enumerate(
        (
            ("initialize", "unlock-socket", "", "", 0),
            ("CreateExchange", "permission *", EXCHANGE, "", 0),
            ("RevealCredential", "permission *", EXCHANGE, "read", 2),
        ),
        1,
    ):
        decided = (CREATED_MS + 1000 * number, method, "allow", rule, "admin", vault.uid, 4711, "bot.service", CREATED_MS)
        row = columns(names, number, *decided, exchange, configuration, version, "", 1)
        packed = pack([*row.values()])
        row["mac"] = mac(AUDIT, b"vaultd-audit-v1\0", head, packed)
        made.append({"previous": head, "packed": packed, "row": row})
        vault.audit.append(row)
        head = row["mac"]
    return made


def _integrity(vault: Vault) -> dict[str, Any]:
    counts = [sum(table == name for name, _ in vault.rows) for table in TABLES]
    total = sum(int.from_bytes(vault.tag(table, row)[2], "big") for table, row in vault.rows) % 2**256
    generation, time_ms, head = (vault.audit[-1][name] for name in ("sequence", "time_ms", "mac"))
    message = b"vaultd-store-v1\0" + VAULT_ID + SCHEMA_VERSION.to_bytes(4, "big")
    message += generation.to_bytes(8, "big") + time_ms.to_bytes(8, "big") + len(counts).to_bytes(4, "big")
    message += b"".join(number.to_bytes(8, "big") for number in counts) + total.to_bytes(32, "big") + head
    sealed = mac(vault.integrity_key, message)
    vault.integrity = columns("vault_id generation time_ms mac", VAULT_ID, generation, time_ms, sealed)
    body = b"vaultd-anchor-v1" + VAULT_ID + generation.to_bytes(8, "big") + head
    vault.anchor = body + mac(AUDIT, b"vaultd-anchor-mac-v1", body)
    seen = {"schema_version": SCHEMA_VERSION, "counts": counts, "sum": total.to_bytes(32, "big")}
    return {**seen, "message": message, "row": vault.integrity}


def _backup(vault: Vault, identity: bytes) -> dict[str, Any]:
    """Returns the header of a backup of the vault; the store that follows is left to the imagination."""
    store = b"SQLite format 3\0 and so on"
    manifest = b"".join(
        (
            _field(1, VAULT_ID),
            _field(2, identity),
            _number(3, vault.integrity["generation"]),
            _field(4, _number(1, CREATED_MS // 1000) + _number(2, CREATED_MS % 1000 * 1_000_000)),
            _number(5, SCHEMA_VERSION) + _number(6, 1),
            _number(7, len(store)) + _field(8, hashlib.sha256(store).digest()),
            _field(9, vault.anchor),
            _number(10, 1) + _number(11, 2) + _number(12, 1) + _number(13, 1),
            _field(14, _number(1, 1) + _field(2, b"passphrase") + _field(3, b"passphrase")),
            _number(15, 1),
        )
    )
    magic = b"vaultd-backup-v1"
    signature = Ed25519PrivateKey.from_private_bytes(IDENTITY).sign(magic + manifest)
    header = magic + len(manifest).to_bytes(4, "big") + manifest + signature
    return {"manifest": manifest, "signature": signature, "header": header, "store": store}


def _number(field: int, value: int) -> bytes:
    """A field of a protobuf message with an integer; nothing for 0."""
    return _varint(field << 3) + _varint(value) if value else b""


def _field(field: int, value: bytes) -> bytes:
    """A field of a protobuf message with bytes, text or a message."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def build(uid: int) -> Vault:
    """Returns the vault whose one administrator runs as `uid`."""
    vault = Vault(uid)
    identity = Ed25519PrivateKey.from_private_bytes(IDENTITY).public_key().public_bytes_raw()
    lasting = IDENTITY + AUDIT + FINGERPRINT
    wrapped = seal(vault.wrapping, lasting, keys_place(), "lasting keys")
    names = "vault_id format_version created_ms identity wrapped_keys kdf_memory_kib kdf_passes kdf_lanes"
    vault.rows.append(("vault", columns(names, VAULT_ID, 1, CREATED_MS, identity, wrapped, *COST)))
    slots = _slots(vault)
    names = "exchange kind name environment labels market_types hidden state lock_reason created_ms updated_ms revision"
    shown = ("binance", "binance-main", "live", '{"desk":"alpha"}', '["spot"]', 0, "ACTIVE", "")
    exchange = columns(names, EXCHANGE, *shown, CREATED_MS, CREATED_MS, 1)
    vault.rows.append(("exchanges", exchange))
    credentials = _credentials(vault, exchange)
    public = Ed25519PrivateKey.from_private_bytes(CLIENT).public_key().public_bytes_raw()
    client = hashlib.sha256(public).hexdigest()
    names = "client name public_key uid unit state permissions created_ms updated_ms"
    allowed = (client, "admin", public, uid, "", "ACTIVE", '["*"]', CREATED_MS, CREATED_MS)
    vault.rows.append(("clients", columns(names, *allowed)))
    names = "grant client operation exchange configuration not_after_ms rate_count rate_seconds created_ms unit state"
    granted = ("gr-abcdefghij", client, "reveal", EXCHANGE, "read", 0, 3, 60, CREATED_MS, "bot.service", "ACTIVE")
    vault.rows.append(("grants", columns(names, *granted)))
    audit = _audit(vault)
    parts = ("packed", "tag", "element")
    derived = {"wrapping": vault.wrapping, "row": vault.row_key, "integrity": vault.integrity_key}
    vault.document = {
        "provenance": PROVENANCE,
        "format_version": 1,
        "vault_id": VAULT_ID,
        "keys": {"master": MASTER, **derived, "identity": IDENTITY, "audit": AUDIT, "fingerprint": FINGERPRINT},
        "lasting": {
            "associated_data": keys_place(),
            "plaintext": lasting,
            "wrapped_keys": wrapped,
            "identity": identity,
        },
        "slots": slots,
        "exchange": exchange,
        "credentials": credentials,
        "rows": [
            {"table": table, "row": row, **dict(zip(parts, vault.tag(table, row), strict=True))}
            for table, row in vault.rows
        ],
        "first_head": audit[0]["previous"],
        "audit": audit,
        "store": _integrity(vault),
        "anchor": vault.anchor,
        "restored_anchor": b"vaultd-rest-v1\0\0" + (5).to_bytes(8, "big") + vault.anchor,
        "backup": _backup(vault, identity),
    }
    return vault


def plain(value: Any) -> Any:
    """JSON has no bytes: they become hex after `0x`."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def text() -> str:
    """Returns the content of format_v1.json."""
    return json.dumps(plain(build(1001).document), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (HERE / "format_v1.json").write_text(text())
