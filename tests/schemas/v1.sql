-- Schema 1, empty. Made by tests/support/schemas.py; never edited once released.
PRAGMA application_id=1986098540;
PRAGMA user_version=1;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'vaultd','schema_1','2025-01-01 00:00:00');
CREATE TABLE "audit" (
        sequence INTEGER PRIMARY KEY NOT NULL, time_ms INTEGER NOT NULL, method TEXT NOT NULL, decision TEXT NOT NULL,
        rule TEXT NOT NULL, client TEXT NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL, unit TEXT NOT NULL,
        started_ms INTEGER NOT NULL, exchange TEXT NOT NULL, configuration TEXT NOT NULL, version INTEGER NOT NULL,
        detail TEXT NOT NULL, count INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT;
CREATE TABLE "clients" (
        client TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL COLLATE NOCASE UNIQUE, public_key BLOB NOT NULL,
        uid INTEGER NOT NULL, unit TEXT NOT NULL, state TEXT NOT NULL, permissions TEXT NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT;
CREATE TABLE "credentials" (
        exchange TEXT NOT NULL REFERENCES "exchanges", configuration TEXT NOT NULL, version INTEGER NOT NULL,
        state TEXT NOT NULL, key_state TEXT NOT NULL, key_check TEXT NOT NULL, expires_ms INTEGER NOT NULL,
        fingerprint BLOB NOT NULL, masks TEXT NOT NULL, wrapped_data_key BLOB NOT NULL, ciphertext BLOB NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (exchange, configuration, version)
    ) STRICT;
CREATE TABLE "exchanges" (
        exchange TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE UNIQUE,
        environment TEXT NOT NULL, labels TEXT NOT NULL, market_types TEXT NOT NULL, hidden INTEGER NOT NULL,
        state TEXT NOT NULL, lock_reason TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
        revision INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT;
CREATE TABLE "grants" (
        "grant" TEXT PRIMARY KEY NOT NULL, client TEXT NOT NULL, operation TEXT NOT NULL,
        exchange TEXT NOT NULL, configuration TEXT NOT NULL, not_after_ms INTEGER NOT NULL,
        rate_count INTEGER NOT NULL, rate_seconds INTEGER NOT NULL, created_ms INTEGER NOT NULL, unit TEXT NOT NULL,
        state TEXT NOT NULL, tag BLOB NOT NULL
    ) STRICT;
CREATE TABLE "integrity" (
        vault_id BLOB PRIMARY KEY NOT NULL, generation INTEGER NOT NULL, time_ms INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT;
CREATE TABLE "slots" (
        slot INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL, memory_kib INTEGER NOT NULL,
        passes INTEGER NOT NULL, lanes INTEGER NOT NULL, salt BLOB NOT NULL, wrapped_master_key BLOB NOT NULL,
        created_ms INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT;
CREATE TABLE "throttle" (id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1), failures INTEGER NOT NULL) STRICT;
INSERT INTO "throttle" VALUES(1,0);
CREATE TABLE "vault" (
        vault_id BLOB PRIMARY KEY NOT NULL, format_version INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        identity BLOB NOT NULL, wrapped_keys BLOB NOT NULL, kdf_memory_kib INTEGER NOT NULL,
        kdf_passes INTEGER NOT NULL, kdf_lanes INTEGER NOT NULL, tag BLOB NOT NULL
    ) STRICT;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX "exchanges_wide_names" ON "exchanges" (name) WHERE name GLOB '*[^ -~]*';
CREATE INDEX "credentials_fingerprint" ON "credentials" (fingerprint);
