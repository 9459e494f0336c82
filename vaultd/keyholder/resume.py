"""Another server, the same unlock: what the keyholder believes of a store that a restarted server presents.

Threat: while no server runs, somebody puts an older or another store in its place, or changes rows of it; the server
that comes next hands it in, knowingly or not. Measure: everything that an unlock checks of the store is checked again,
under the keys that are here, and more than an unlock can: the store must stand exactly where this keyholder left it.
That is the last change that was acknowledged, or one of those that were under way when the last server went, of which
only the store can tell whether they happened. Clients, grants and slots are taken from it anew; epoch, nonces, rates and
clock go on, so a request that was served before the restart is a replay after it. Limit: what a client was told has
failed may have happened; audit and store agree about it all the same.

A store that is not that one ends the process: it has keys and nobody to use them for. One that cannot be read now, for
the disk fails, keeps them: the server may come again.
"""

from typing import Any

from vaultd.crypto import integrity
from vaultd.errors import StoreDamagedError, StoreRolledBackError, StoreTooNewError
from vaultd.keyholder import loading
from vaultd.keyholder.ledger import Entry
from vaultd.keyholder.loop import Ask, Task, log
from vaultd.keyholder.recent import Recent
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import PeerFacts

_FINAL = (StoreDamagedError, StoreRolledBackError, StoreTooNewError)


def resume(holder: Keyholder, unlocked: Unlocked, payload: dict[str, Any]) -> Task:
    """Serves the server of the link from now on, without a new unlock.

    Raises:
        StoreDamagedError, StoreRolledBackError: The store is not the one that was left; the process ends.
        VaultError: It cannot be read now.
    """
    try:
        fresh = yield from _believed(holder, unlocked, payload)
    except _FINAL as error:
        holder.leave(f"a restarted server presented a store that is not the one it left: {error.message}")
        raise
    # In place: a task that is deriving a key now goes on with this very object.
    unlocked.vault, unlocked.ledger, unlocked.recent = fresh.vault, fresh.ledger, Recent()
    fresh.allowlist.keep_unit_keys(unlocked.allowlist)
    unlocked.slots, unlocked.allowlist = fresh.slots, fresh.allowlist


def note(holder: Keyholder, unlocked: Unlocked, peer: PeerFacts) -> Task:
    """Writes to the audit that another server is served."""
    yield from holder.commit(unlocked, Entry("resume", peer, rule="link", detail="the server was restarted"))


def _believed(holder: Keyholder, unlocked: Unlocked, payload: dict[str, Any]) -> Task:
    if not payload["initialized"]:
        raise StoreRolledBackError("the store is empty")
    if payload["schema_version"] != holder.schema_version:
        raise StoreTooNewError("its schema is another version's; unlock it anew")
    found = yield Ask("open", {"check": True})
    if integrity.restored_anchor(found["anchor"] or b"") is not None:
        # Even where it stands at the same place: what a restore suspends, an unlock suspends.
        raise StoreRolledBackError("it was restored from a backup")
    vault, _ = loading.believable(found)
    if vault.vault_id != unlocked.vault.vault_id:
        raise StoreRolledBackError("it is another vault")
    fresh: Unlocked = yield from loading.walk(holder, unlocked.keys, vault, found)
    place = (fresh.ledger.generation, fresh.ledger.head)
    if place not in holder.places:
        wanted = sorted(generation for generation, _ in holder.places)
        facts = {"generation": str(place[0]), "left_at": str(wanted[0]) if wanted else ""}
        text = f"it stands at generation {place[0]}, was left at {facts['left_at']}"
        raise StoreRolledBackError(text, metadata=facts)
    return fresh




def noted(_result: object, error: BaseException | None) -> None:
    """Takes the end of `note`."""
    if error is not None:
        log.warning("that another server is served could not be written to the audit")
