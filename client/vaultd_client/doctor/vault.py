"""What the running daemon says: is it there, unlocked, one version with us; its key slots, its audit, who shares a key."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from vaultd_client import metrics, unattended
from vaultd_client.client import VaultClient
from vaultd_client.doctor.finding import Finding, error, ok, skipped, warning
from vaultd_client.errors import NotRunningError, TimedOutError, UntrustedVaultError, VaultClientError
from vaultd_client.models import Client, Exchange, Vault
from vaultd_client.paths import SYSTEM_RUNTIME_DIR
from vaultd_client.slots import Slot
from vaultd_client.unlock import UnlockClient

WEAK_MEMORY_KIB = 256 * 1024
"""What `init` takes where memory allows; below it a guess costs a thief less than about a second."""
OLD_SLOT = timedelta(days=730)
"""Two years: a passphrase or a code that nobody has tried since may be lost."""
OLD_BACKUP = timedelta(days=7)
"""A week of changes is what a person can still make again by hand."""
KEYHOLDER_SECONDS = 5.0
"""A keyholder says how it is at once; one that does not hangs."""
LIBRARIES = ("grpcio", "protobuf", "cryptography", "click", "rich")
_HUMAN = ("passphrase", "recovery")


@dataclass(frozen=True, slots=True)
class Asked:
    """The daemon, asked once: its answer, or why there is none."""

    client: VaultClient
    keyholder: UnlockClient
    answer: Vault | VaultClientError


def ask(client: VaultClient, keyholder: UnlockClient) -> Asked:
    """Asks the daemon how it is."""
    keyholder.timeout = KEYHOLDER_SECONDS
    try:
        return Asked(client, keyholder, client.vault())
    except VaultClientError as problem:
        return Asked(client, keyholder, problem)


def running(asked: Asked) -> Iterator[Finding]:
    """It runs, and its keyholder listens."""
    if not isinstance(asked.answer, Vault):
        yield error("daemon", asked.answer.message, asked.answer.hint)
        return
    yield ok("daemon", f"answers, since {_moment(asked.answer.started_at)}")
    try:
        asked.keyholder.status()
    except UntrustedVaultError as problem:
        yield error("keyholder", problem.message, "find out who that is before anybody types a passphrase: ss -xlp")
    except (NotRunningError, TimedOutError) as problem:
        yield error("keyholder", problem.message, "restart vaultd; journalctl --unit 'vaultd*' says why")
    except VaultClientError as problem:
        yield skipped("keyholder", problem.message, problem.hint)
    else:
        yield ok("keyholder", "listens, and is who it should be")


def state(asked: Asked) -> Iterator[Finding]:
    """It is unlocked, and no protection of its own has fallen back."""
    vault = asked.answer
    if not isinstance(vault, Vault):
        return
    if vault.state == "UNINITIALIZED":
        yield warning("state", "no vault was made yet", "vaultctl init")
    elif vault.state == "LOCKED":
        why = f": {vault.lock_cause}" if vault.lock_cause else ""
        yield warning("state", f"locked{why}; no bot gets a key", "vaultctl unlock")
    else:
        yield ok("state", f"unlocked since {_moment(vault.unlocked_at)}")
    for check in vault.checks:
        if not check.ok:
            yield warning("protections", f"{check.name}: {check.detail}", "vaultctl status names each; README, Limits")
    if all(check.ok for check in vault.checks):
        yield ok("protections", f"all {len(vault.checks)} hold")
    if vault.unaudited_denials:
        reason = f"{vault.unaudited_denials} signed requests came while locked, which no audit has"
        yield warning("denials", reason, "vaultctl unlock, so that bots are served; systemctl list-units for what calls")


def clock_of_vault(asked: Asked) -> Iterator[Finding]:
    """The clock was not put back since the daemon's start."""
    vault = asked.answer
    if isinstance(vault, Vault) and vault.started_at is not None and vault.started_at > datetime.now(UTC):
        reason = f"vaultd was started at {_moment(vault.started_at)}, which is still to come: the clock was put back"
        yield error("clock", reason, "sudo timedatectl set-ntp true, then restart vaultd")


def versions(asked: Asked) -> Iterator[Finding]:
    """Daemon and client are of one version."""
    ours = _version("vaultd-client")
    libraries = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    vault = asked.answer
    if not isinstance(vault, Vault):
        yield ok("versions", f"client {ours}, {python}, {libraries}")
        return
    text = f"daemon {vault.version}, client {ours}, schema {vault.schema_version}, format {vault.format_version}"
    if vault.version != ours:
        fix = "pip install the older of the two again, and restart vaultd where it was that"
        yield warning("versions", f"daemon {vault.version} and client {ours} differ", fix)
    else:
        yield ok("versions", f"{text}, {python}, {libraries}")


def key_slots(asked: Asked) -> Iterator[Finding]:
    """A person can open it, on the day on which the passphrase is forgotten too."""
    vault = asked.answer
    if not isinstance(vault, Vault) or vault.state == "UNINITIALIZED":
        return
    try:
        slots = asked.keyholder.slots()
    except VaultClientError as problem:
        yield skipped("key slots", problem.message, problem.hint)
        return
    yield from judge_slots(slots, datetime.now(UTC))


def judge_slots(slots: Sequence[Slot], now: datetime) -> Iterator[Finding]:
    """Judges key slots: kinds, cost, age."""
    kinds = {slot.kind for slot in slots}
    before = len(found := list(_slot_findings(slots, kinds, now)))
    yield from found
    if not before:
        yield ok("key slots", f"{len(slots)}: {', '.join(sorted(kinds))}")


def _slot_findings(slots: Sequence[Slot], kinds: set[str], now: datetime) -> Iterator[Finding]:
    if not kinds & set(_HUMAN):
        yield error("key slots", "no person can open it", "vaultctl slot add --kind passphrase, with the machine key")
    if "recovery" not in kinds:
        reason = "there is no recovery code: a forgotten passphrase would lose every key"
        yield warning("key slots", reason, "vaultctl slot add --kind recovery")
    for slot in slots:
        named = f"slot {slot.slot} ({slot.label or slot.kind})"
        if slot.kind == "passphrase" and slot.memory_kib < WEAK_MEMORY_KIB:
            reason = f"{named} costs a thief of the store {slot.memory_kib // 1024} MiB a guess"
            fix = f"[kdf] memory_kib = {WEAK_MEMORY_KIB} in vaultd.toml; the next unlock raises it"
            yield warning("key slots", reason, fix)
        if now - slot.created_at > OLD_SLOT:
            reason = f"{named} is {(now - slot.created_at).days} days old: is its secret still known?"
            yield warning("key slots", reason, f"try it: vaultctl lock, then vaultctl unlock --slot {slot.slot}")


def unattended_start(asked: Asked) -> Iterator[Finding]:
    """The machine slot has opened the vault after the last boot, where it was asked to."""
    found = unattended.outcome() if asked.client.socket.parent == SYSTEM_RUNTIME_DIR else None
    if found is None:
        return
    if found["result"] == "failed":
        fix = f"journalctl --boot --unit {unattended.UNIT}; a new slot: slot remove, then vaultctl slot add --machine"
        yield warning("unattended start", found["detail"], fix)
    else:
        yield ok("unattended start", found["detail"])


def backup_age(asked: Asked) -> Iterator[Finding]:
    """There is a backup, and it is not old. The time is from the metrics, which the server takes from its audit."""
    if not isinstance(asked.answer, Vault) or asked.answer.state == "UNINITIALIZED":
        return
    try:
        text = metrics.read(asked.client.socket.with_name("metrics.sock"))
    except VaultClientError as problem:
        yield skipped("backup", problem.message, problem.hint)
        return
    name = "vaultd_last_backup_timestamp_seconds "
    made = next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0.0)
    yield judge_backup(datetime.fromtimestamp(made, UTC) if made else None, datetime.now(UTC))


def judge_backup(made: datetime | None, now: datetime) -> Finding:
    """Judges when the last backup was made; None for never."""
    if made is None:
        return warning("backup", "none was ever made: with this disk goes every key", "vaultctl backup FILE")
    if now - made > OLD_BACKUP:
        fix = "vaultctl backup FILE; each night: sudo systemctl enable --now vaultd-backup.timer"
        return warning("backup", f"the last is {(now - made).days} days old", fix)
    return ok("backup", f"the last was made {_moment(made)}")


def audit_chain(asked: Asked) -> Iterator[Finding]:
    """No entry of the audit is missing or was changed."""
    vault = asked.answer
    if not isinstance(vault, Vault) or vault.state != "UNLOCKED":
        yield skipped("audit", "only an unlocked vault can check it", "vaultctl unlock")
        return
    try:
        report = asked.client.verify_audit()
    except VaultClientError as problem:
        yield skipped("audit", f"this user may not have it checked: {problem.message}", "needs the permission Audit:Read")
        return
    if report.ok:
        yield ok("audit", f"{report.checked} entries, every one in its place and unchanged")
    else:
        fix = "keep a copy of the store, and find out who was on this host: vaultctl audit show"
        yield error("audit", f"entry {report.first_bad} is the first bad one: {report.detail}", fix)


def key_sharing(asked: Asked) -> Iterator[Finding]:
    """No two clients use one key pair where the exchange wants a rising nonce from it."""
    vault = asked.answer
    if not isinstance(vault, Vault) or vault.state != "UNLOCKED":
        return
    try:
        clients = asked.client.clients()
        exchanges = asked.client.list()
        rising = {kind.kind for kind in asked.client.kinds() if kind.rising_nonce}
    except VaultClientError as problem:
        yield skipped("shared keys", f"this user may not see the grants: {problem.message}", "needs Clients:Read")
        return
    found = list(shared(clients, [each for each in exchanges if each.kind in rising], datetime.now(UTC)))
    yield from found
    if not found:
        yield ok("shared keys", "no two clients use one key pair of an exchange that wants a rising nonce")


def shared(clients: Sequence[Client], exchanges: Sequence[Exchange], now: datetime) -> Iterator[Finding]:
    """Yields a finding for each half of an exchange that more than one client may have."""
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for client in clients:
        for grant in client.grants if client.state == "ACTIVE" else ():
            if grant.not_after is not None and grant.not_after <= now:
                continue
            for exchange in exchanges:
                if grant.exchange in {"*", exchange.id}:
                    for half in ("read", "write") if grant.configuration == "*" else (grant.configuration,):
                        holders[exchange.name, half].add(client.name)
    for (exchange_name, half), names in sorted(holders.items()):
        if len(names) > 1:
            reason = f"{', '.join(sorted(names))} share the {half} key of {exchange_name}: each makes the other's nonce stale"
            yield warning("shared keys", reason, f"a key pair for each; vaultctl client ungrant takes {exchange_name} back")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _moment(value: datetime | None) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if value else "an unknown time"
