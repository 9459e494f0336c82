"""Every size, count and time limit, each with its reason. The only home for numbers."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- keys and formats (vaultd/crypto/FORMAT.md) ------------------------------------------------------------------

KEY_BYTES: Final = 32
"""Master, slot, wrapping, data and MAC keys: AES-256 and HMAC-SHA-256 take 256 bits."""
NONCE_BYTES: Final = 12
"""AES-GCM nonce, 96 bits (NIST SP 800-38D, section 5.2.1.1)."""
TAG_BYTES: Final = 16
"""AES-GCM tag, 128 bits."""
SALT_BYTES: Final = 16
"""Argon2id salt (RFC 9106, section 3.1)."""
MAC_BYTES: Final = 32
"""HMAC-SHA-256 output, and each half of keyed BLAKE2b-512's."""
SIGNATURE_BYTES: Final = 64
"""Ed25519 signature (RFC 8032)."""
FORMAT_VERSION: Final = 1
"""Version of every byte layout in FORMAT.md."""

# --- private keys in PEM that exchanges take ------------------------------------------------------------------------

MIN_RSA_BITS: Final = 2048
"""NIST SP 800-131A: less is not for signing."""
MAX_RSA_BITS: Final = 4096
"""The largest that an exchange takes; to check its primes takes the keyholder 0.3 s."""
MAX_SHOWN_PUBLIC_KEY_CHARS: Final = 128
"""Of a public key in base64, for a person to compare: all of Ed25519's 60 and P-256's 124, both ends of RSA's."""

# --- Argon2id -----------------------------------------------------------------------------------------------------

ARGON2_MIN_MEMORY_KIB: Final = 64 * KIB
"""Floor: RFC 9106's second recommendation, 64 MiB with three passes. Less invites offline guessing."""
ARGON2_MAX_MEMORY_KIB: Final = 1024 * KIB
"""Ceiling: a stored slot must not be able to exhaust the host."""
ARGON2_DEFAULT_MEMORY_KIB: Final = 256 * KIB
"""Asked for at init where a quarter of the free memory allows it."""
ARGON2_MIN_PASSES: Final = 3
ARGON2_MAX_PASSES: Final = 10
"""Ceiling with 1 GiB: about 12 s on a slow host; more would be a denial of service by stored parameters."""
ARGON2_MAX_LANES: Final = 8
ARGON2_DEFAULT_LANES: Final = 4
"""RFC 9106, section 4."""
ARGON2_TARGET_MS: Final = 1000
"""What a person waits gladly once per boot."""

# --- key slots and unlocking --------------------------------------------------------------------------------------

MAX_SLOTS: Final = 8
"""An unlock may have to try every passphrase slot, a second each."""
MAX_PASSPHRASE_BYTES: Final = 1024
"""Long enough for any diceware; short enough for one secret page."""
MIN_PASSPHRASE_BYTES: Final = 8
"""NIST SP 800-63B, section 5.1.1.2."""
MIN_RECOVERY_BYTES: Final = 16
"""128 bits."""
FREE_UNLOCK_FAILURES: Final = 5
"""A person mistypes a few times; a program guesses."""
UNLOCK_DELAY_BASE_MS: Final = 5_000
"""After the fifth failure; doubles with each one."""
UNLOCK_DELAY_MAX_MS: Final = 300_000
"""An owner at three in the morning can wait five minutes; a guesser gets 288 tries a day."""
UNLOCK_CONNECTIONS: Final = 32
"""Connections to unlock.sock at once; administrators are few."""
UNLOCK_CONNECTIONS_PER_UID: Final = 24
"""The others are for whoever wants to lock while somebody else fills the socket."""
UNLOCK_PENDING_BYTES: Final = 128 * KIB
"""Of secret memory for messages that are not whole yet, half of SECRET_PAGE_BYTES: reveals go on whoever sends slowly."""
UNLOCK_IDLE_MS: Final = 30_000
"""A connection to unlock.sock that sends nothing is closed."""

# --- frames between server and keyholder, and on unlock.sock -------------------------------------------------------

MAX_LINK_FRAME: Final = 16 * MIB
"""A page of rows; larger is a defect of the other side."""
MAX_UNLOCK_FRAME: Final = 64 * KIB
"""An unlock request with every slot's secret is below 10 KiB."""
ROWS_PER_PAGE: Final = 2_000
"""Rows in one link frame while the store is read at unlock: about 1 MiB."""
PAGE_BYTES: Final = 4 * MIB
"""A page of large rows ends here, far below MAX_LINK_FRAME."""
ROWS_PER_FETCH: Final = 250
"""Rows taken from SQLite at a time. So many of the largest, 24 KiB each, pass PAGE_BYTES by no more than 6 MiB."""

# --- requests -----------------------------------------------------------------------------------------------------

MAX_SIGNED_BYTES: Final = 64 * KIB
"""A signed request; two sealed key pairs with PEM keys are below 16 KiB."""
MAX_MESSAGE_BYTES: Final = 72 * KIB
"""gRPC message: a signed request and its envelope."""
MAX_REPLY_BYTES: Final = 4 * MIB
"""gRPC's own default for a received message; pages are cut to stay below it."""
MAX_TTL_MS: Final = 30_000
"""Longest life of a signed request; the nonce cache remembers that long."""
MAX_CLOCK_LEAD_MS: Final = 1_000
"""CLOCK_BOOTTIME is one clock for the host; a second of lead covers rounding and pausing."""
NONCES_PER_CLIENT: Final = 50_000
"""Unexpired nonces kept per client, about 8 MiB; a client at this rate is refused, none is forgotten early."""

# --- credentials of systemd units ---------------------------------------------------------------------------------

MAX_CREDENTIAL_FILE_BYTES: Final = MIB
"""systemd takes no more, of one credential and of all of a unit."""
MAX_CREDENTIAL_UNIT_CHARS: Final = 72
"""systemd puts the names of unit and credential into a socket's name of 107 bytes, with 23 of its own: what is left is
enough for a short credential."""
CREDENTIAL_CONNECTIONS: Final = 128
"""Units that wait at once, and past which the rest waits in the accept queue."""
CREDENTIAL_WRITE_SECONDS: Final = 10.0
"""systemd reads at once; one that does not must not keep secret memory taken."""
CREDENTIAL_WAIT_SECONDS: Final = 75
"""How long the start of a unit waits for an unlock: less than the 90 s after which systemd ends it without our reason."""
MAX_CREDENTIAL_WAIT_SECONDS: Final = 86_400
UNIT_WATCH_SECONDS: Final = 1.0
"""How often it is looked whether a unit that was given a key still runs."""

# --- records ------------------------------------------------------------------------------------------------------

MAX_NAME_CHARS: Final = 64
MAX_LABELS: Final = 16
MAX_LABEL_CHARS: Final = 64
MAX_MARKET_TYPES: Final = 16
MAX_REASON_CHARS: Final = 256
MAX_FIELD_BYTES: Final = 16 * KIB
"""One field of a key pair; an RSA-4096 key in PEM is 3.3 KiB."""
MAX_FIELDS_BYTES: Final = 24 * KIB
"""One serialized key pair; two sealed ones fit a signed request."""
MAX_EXTRA: Final = 16
MAX_PERMISSIONS: Final = 32
MAX_SHARED_EXCHANGES: Final = 64
"""Exchanges looked at for a second user of a key pair when everything is granted; a person reads no more."""
MAX_SHARERS_SHOWN: Final = 5
"""Names of other users of a key pair in one notice."""
MAX_GRANTS_PER_CLIENT: Final = 256
MAX_CLIENTS: Final = 10_000
MASK_FULL_CHARS: Final = 16
"""From here on a mask shows four and four characters; below it, fewer."""
MASK_SHORT_CHARS: Final = 8
"""From here on a mask shows the last two; below it, none."""
MAX_RATE_SECONDS: Final = 86_400
MAX_RATE_COUNT: Final = 10_000
"""Uses remembered per grant: 8 bytes each."""

# --- pages --------------------------------------------------------------------------------------------------------

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 500
"""An exchange is about 1 KiB; 500 stay far below gRPC's 4 MiB."""
MAX_SEALED_PAGE: Final = 20
"""Clients and exchanges in a sealed page: a client may have 256 grants."""
MAX_AUDIT_PAGE: Final = 200

# --- audit --------------------------------------------------------------------------------------------------------

DENIAL_WINDOW_MS: Final = 10_000
"""Denials that are alike share one counted entry within this time; unauthenticated ones are alike by uid and rule."""
DENIAL_WINDOW_MAX_MS: Final = 600_000
"""While a stranger goes on, the time doubles up to this: he writes 144 entries a day for each rule, not the disk full."""
DENIAL_BUCKETS: Final = 256
"""Distinct uid and rule pairs counted apart; past it they share one."""

# --- gRPC ---------------------------------------------------------------------------------------------------------

MAX_METADATA_BYTES: Final = 8 * KIB
"""gRPC's own default; ours is empty."""
STREAMS_PER_CONNECTION: Final = 64
"""Calls at once on one connection. gRPC refuses some of a burst that is larger; with fewer, a bot's own bursts would
be. A call that was opened and never made costs 20 KiB: 320 MiB for all that one uid can open."""
CONCURRENT_RPCS: Final = 65_536
"""Calls at once in all: STREAMS_PER_CONNECTION times CONNECTIONS_TOTAL. With fewer, one uid that opens calls and never
makes them would have all of them."""
OPEN_CALLS_PER_UID: Final = 8
"""Open calls of one uid that are worked on at once. The longest list takes 20 ms, and nothing but the processor."""
SIGNED_CALLS_PER_UID: Final = 64
"""Signed calls of one uid that are worked on at once: as many as share one sync of the disk."""
HANDSHAKE_MS: Final = 2_000
"""gRPC's default of 120 s lets silent connections pile up."""
CONNECTION_IDLE_MS: Final = 60_000
"""A connection without a call is closed; clients reconnect by themselves."""
STOP_GRACE_SECONDS: Final = 1.0
"""Calls under way at SIGTERM may end within this."""

# --- sockets and the gate -----------------------------------------------------------------------------------------

CONNECTIONS_PER_UID: Final = 256
"""One uid's bots; a flood from one uid cannot take the descriptors of another."""
CONNECTIONS_TOTAL: Final = 1_024
FIRST_BYTE_SECONDS: Final = 2.0
"""A peer that connects and stays silent is dropped."""
DESCRIPTORS_WANTED: Final = 5_120
"""Soft RLIMIT_NOFILE asked for where the hard limit allows: four for each of CONNECTIONS_TOTAL, and some."""
LISTEN_BACKLOG: Final = 1_024
SOCKET_BUFFER_BYTES: Final = 64 * KIB
"""Read size of the gate, and all it holds back per direction of a connection while the other side does not read: at
most 128 MiB in total, and a transfer of 4 MiB is as fast as with 256 KiB."""
STALL_SECONDS: Final = 30.0
"""A peer that takes nothing of what waits for it, although its socket buffer is full, is stopped or gone."""
GATE_NAME_BYTES: Final = 16
"""Random bytes in the name of a connection of the gate: nobody guesses one, none comes twice."""
MAX_SOCKET_PATH_BYTES: Final = 107
"""unix(7): sun_path has 108 bytes, and gRPC ends it with a NUL."""
ORPHAN_SECONDS: Final = 2.0
"""How long a start waits for the keyholder of a killed server, which ends at its first statement, to give up its socket."""
ORPHAN_RETRY_SECONDS: Final = 0.02
"""Between looks; nobody tells when an entry is given up."""
ACCEPT_BATCH: Final = 64
"""Connections accepted in one turn of the event loop, about 5 ms: a storm does not hold up those already in."""
ACCEPT_PAUSE_SECONDS: Final = 0.1
"""Until the next try where accept() fails for want of descriptors or memory."""
ACCEPT_TICK_SECONDS: Final = 0.02
"""Before Linux 6.5 only: how often the gate makes sure that nobody waits; a process older than that has a unit."""
INNER_RETRY_SECONDS: Final = 0.01
"""Between tries to connect to gRPC while its accept queue is full; the kernel has no event for room in it."""
INNER_CONNECT_SECONDS: Final = 5.0
"""Then the caller is dropped."""
PROC_FILE_BYTES: Final = 16 * KIB
"""One read of /proc/PID/cgroup or stat gives all of it; a longer one, cut off, shows no unit."""
DESCRIPTORS_PER_CONNECTION: Final = 4
"""The caller's, both ends of the connection to gRPC, and a handle on a caller that runs in a unit."""
DESCRIPTORS_KEPT: Final = 256
"""For the rest of the daemon: the store, the keyholder, gRPC's own, and CREDENTIAL_CONNECTIONS."""
SELF_TEST_SECONDS: Final = 5.0
"""For the call that the gate makes to itself at start; it takes a few milliseconds."""

# --- metrics ------------------------------------------------------------------------------------------------------

LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, seconds: mask reads take one to two milliseconds, reveals some, changes wait for the disk."""
METRICS_CONNECTIONS: Final = 16
"""At once: a collector or two, and a person."""
METRICS_REQUEST_BYTES: Final = 8 * KIB
"""A collector sends some 300 bytes of headers."""
METRICS_SECONDS: Final = 5.0
"""For one request and its answer; Prometheus itself gives up after ten."""

# --- keyholder process --------------------------------------------------------------------------------------------

SECRET_PAGE_BYTES: Final = 256 * KIB
"""One memfd_secret mapping for keys and plaintext; within the 8 MiB default of RLIMIT_MEMLOCK."""
SECRET_ALIGNMENT: Final = 16
"""Of a buffer in secret memory: the widest load a cipher makes of a key."""
HYGIENE_MARKER_BYTES: Final = 32
"""What the memory check frees and looks for; half of it counts as found, and 16 bytes do not occur by chance."""
HYGIENE_WINDOW_BYTES: Final = MIB
"""How much of its own memory the check copies at a time."""
HYGIENE_PADDINGS: Final = (0, 24, 200, 600, 4 * KIB, 64 * KIB)
"""The marker is freed in blocks of each size class: CPython's arenas, tcache, small and large bins of glibc."""
KEYHOLDER_START_SECONDS: Final = 30.0
"""A cold start on a slow disk; a live keyholder answers in about 0.3 s."""

KEYHOLDER_WAIT_SECONDS: Final = 15.0
"""How long a starting server waits for a keyholder of its own unit before it serves masks without one. One that is
unlocked walks the whole store first: 4 s for 20,000 credentials on a busy host."""
NOTIFY_SECONDS: Final = 1.0
"""For a datagram to PID 1, which takes them at once; a vault must not wait for one that does not."""

RECENT_ROWS: Final = 1_024
"""Exchanges and credentials kept in the keyholder, as ciphertext, about 1 KiB each."""

# --- store --------------------------------------------------------------------------------------------------------

COPY_PAGES: Final = 256
"""Pages of a backup that are copied at a time, 1 MiB: what waits meanwhile waits 10 ms."""
COPY_ROOM_BYTES: Final = 16 * MIB
"""What a backup leaves free on the disk of the store."""
MAX_MANIFEST_BYTES: Final = 64 * KIB
"""Of a backup's header: with eight slots it is below 2 KiB."""
BACKUP_CHUNK_BYTES: Final = MIB
"""Bytes of a backup in one answer: far below gRPC's 4 MiB."""
BACKUP_TOKEN_BYTES: Final = 16
"""Nobody guesses 128 bits."""
BACKUP_IDLE_SECONDS: Final = 60.0
"""A copy that is not read for so long is dropped: its reader is gone, and it takes the room of a store."""
GROUP_COMMIT: Final = 64
"""Changes that share one transaction, and so one sync, when they wait at the same time."""
PAGE_CACHE_KIB: Final = 8 * KIB
"""SQLite's page cache. Its own, 2 MiB, holds less of the indexes of 100,000 exchanges, which every unlock and write reads; with
16 the server would come near the 90 MB that it may take."""
EXCHANGE_CACHE: Final = 4_096
"""Masked exchanges kept serialized in the server, about 1 KiB each."""
