"""The schema, one step per release that changed it.

To change it: add a function below, raise SCHEMA_VERSION, dump the new schema into tests/schemas, and, where a tagged
table changes, have the keyholder tag the rows anew at the next unlock (its MAC covers SCHEMA_VERSION). A store newer
than the code is refused. Steps are never edited once released.

| schema | release | what changed |
|---|---|---|
| 1 | 0.1.0 | first |
"""

from sqlite_utils import Database, Migrations

SCHEMA_VERSION = 1
MIGRATION_SET = "vaultd"
migrations = Migrations(MIGRATION_SET)

_SCHEMA_1 = (
    """CREATE TABLE "vault" (
        vault_id BLOB PRIMARY KEY NOT NULL, format_version INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        identity BLOB NOT NULL, wrapped_keys BLOB NOT NULL, kdf_memory_kib INTEGER NOT NULL,
        kdf_passes INTEGER NOT NULL, kdf_lanes INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE "slots" (
        slot INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL, memory_kib INTEGER NOT NULL,
        passes INTEGER NOT NULL, lanes INTEGER NOT NULL, salt BLOB NOT NULL, wrapped_master_key BLOB NOT NULL,
        created_ms INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE "exchanges" (
        exchange TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE UNIQUE,
        environment TEXT NOT NULL, labels TEXT NOT NULL, market_types TEXT NOT NULL, hidden INTEGER NOT NULL,
        state TEXT NOT NULL, lock_reason TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
        revision INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    # NOCASE knows ASCII only: other names are compared in Python, and a look-up that misses must not read them all.
    """CREATE INDEX "exchanges_wide_names" ON "exchanges" (name) WHERE name GLOB '*[^ -~]*'""",
    """CREATE TABLE "credentials" (
        exchange TEXT NOT NULL REFERENCES "exchanges", configuration TEXT NOT NULL, version INTEGER NOT NULL,
        state TEXT NOT NULL, key_state TEXT NOT NULL, key_check TEXT NOT NULL, expires_ms INTEGER NOT NULL,
        fingerprint BLOB NOT NULL, masks TEXT NOT NULL, wrapped_data_key BLOB NOT NULL, ciphertext BLOB NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (exchange, configuration, version)
    ) STRICT""",
    'CREATE INDEX "credentials_fingerprint" ON "credentials" (fingerprint)',
    """CREATE TABLE "clients" (
        client TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL COLLATE NOCASE UNIQUE, public_key BLOB NOT NULL,
        uid INTEGER NOT NULL, unit TEXT NOT NULL, state TEXT NOT NULL, permissions TEXT NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE "grants" (
        "grant" TEXT PRIMARY KEY NOT NULL, client TEXT NOT NULL, operation TEXT NOT NULL,
        exchange TEXT NOT NULL, configuration TEXT NOT NULL, not_after_ms INTEGER NOT NULL,
        rate_count INTEGER NOT NULL, rate_seconds INTEGER NOT NULL, created_ms INTEGER NOT NULL, unit TEXT NOT NULL,
        state TEXT NOT NULL, tag BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE "audit" (
        sequence INTEGER PRIMARY KEY NOT NULL, time_ms INTEGER NOT NULL, method TEXT NOT NULL, decision TEXT NOT NULL,
        rule TEXT NOT NULL, client TEXT NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL, unit TEXT NOT NULL,
        started_ms INTEGER NOT NULL, exchange TEXT NOT NULL, configuration TEXT NOT NULL, version INTEGER NOT NULL,
        detail TEXT NOT NULL, count INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE "integrity" (
        vault_id BLOB PRIMARY KEY NOT NULL, generation INTEGER NOT NULL, time_ms INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT""",
    # Outside the integrity MAC: it is written while the vault is locked and no key exists.
    'CREATE TABLE "throttle" (id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1), failures INTEGER NOT NULL) STRICT',
    'INSERT INTO "throttle" VALUES (1, 0)',
)


@migrations()
def schema_1(database: Database) -> None:
    """First schema."""
    for statement in _SCHEMA_1:
        database.execute(statement)
