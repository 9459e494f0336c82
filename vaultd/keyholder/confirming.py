"""After a restore: what is suspended at the first unlock, and how an administrator confirms it.

Threat: a backup brings back clients and grants that were revoked after it was made. Measure: until confirmed, no grant
gives a write half, and no client reveals or grants by permission but an administrator. Limit: an administrator who was
revoked since is back, and could confirm himself; `vaultctl client list` is to be read first. Read halves are served:
bots go on watching their accounts.
"""

from dataclasses import dataclass

from vaultd import messages
from vaultd.crypto import integrity
from vaultd.keyholder import clients, policy, records
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import ClientRow, ClientState, GrantState, Row
from vaultd_api.v1 import client_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Restored:
    """A store that was put in place of a newer one and not unlocked since; `detail` is for the audit."""

    detail: str

    @classmethod
    def of(cls, anchor: bytes | None, generation: int, *, rolled_back: bool) -> "Restored | None":
        """Returns it where the anchor file says so of a store of that generation.

        A store that has gone on from there has been unlocked, and had suspended what there was. One that its anchor does
        not vouch for, and that was accepted, was restored as well: by hand. Whoever put it there may have taken the
        anchor away, so nothing that is not authenticated decides; it is only told.
        """
        if rolled_back:
            reached = integrity.anchor_generation(anchor or b"")
            if reached > generation:
                return cls(f"put back from generation {reached} to {generation}")
            return cls(f"put back at generation {generation} without its anchor")
        found = integrity.restored_anchor(anchor or b"")
        if found is None or integrity.anchor_generation(found[0]) < generation:
            return None
        replaced = f" over generation {found[1]}" if found[1] else ""
        return cls(f"restored from a backup of generation {generation}{replaced}")


def suspended(unlocked: Unlocked) -> list[tuple[Row | None, Row]]:
    """Returns what the first unlock after a restore changes: pairs of old and new rows."""
    now = unlocked.clock.now_ms()
    changes: list[tuple[Row | None, Row]] = []
    for client in (*unlocked.allowlist, *unlocked.allowlist.units()):
        if client.state == ClientState.ACTIVE and _gives_write_halves(client) and not policy.is_administrator(client):
            changes.append((client, records.replaced(client, state=ClientState.SUSPENDED, updated_ms=now)))
        changes += [
            (grant, records.replaced(grant, state=GrantState.SUSPENDED))
            for grant in unlocked.allowlist.grants_of(client.client)
            if grant.state == GrantState.ACTIVE and grant.configuration != "read"
        ]
    return changes


def confirm(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.ConfirmClientRequest) -> Task:
    """Ends the suspension of a client and of its grants, or of those of a unit."""
    client = clients.grantee(unlocked, request.client)
    changes: list[tuple[Row | None, Row]] = [
        (grant, records.replaced(grant, state=GrantState.ACTIVE))
        for grant in unlocked.allowlist.grants_of(client.client)
        if grant.state == GrantState.SUSPENDED
    ]
    if client.state == ClientState.SUSPENDED:
        now = unlocked.clock.now_ms()
        changes.append((client, records.replaced(client, state=ClientState.ACTIVE, updated_ms=now)))
    if changes:
        entry = caller.entry(detail=f"client {client.name}: {len(changes)} confirmed")
        yield from holder.commit(unlocked, entry, changes)
    client = clients.grantee(unlocked, request.client)
    return pb.ConfirmClientResponse(client=messages.client(client, unlocked.allowlist.grants_of(client.client)))


def _gives_write_halves(client: ClientRow) -> bool:
    """Says whether a client has them by permission, or could grant them to itself and confirm."""
    return policy.holds(client, "Exchanges:Reveal") or policy.holds(client, "Clients:Grant")
