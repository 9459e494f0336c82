"""What became of a command that something went wrong with."""

from tests.support.house import COMMANDS, Command, House, State
from vaultd_client.errors import VaultClientError


def judge(house: House, command: Command, mark: int, *, acknowledged: bool, then: tuple[str, ...]) -> str:
    """Says what became of a command, and makes what is there the state that must be there from now on.

    Args:
        mark: The last audit entry before `command.prepare`.
        acknowledged: Whether the command was answered with success.
        then: The audit entries that followed the command, whatever became of it.

    Returns:
        `whole` or `absent`; else what is wrong, in capitals.
    """
    audited = house.audited_since(mark)
    present = command.after(house)
    whole = audited == command.audited + then
    if not whole and audited != command.audited[:-1] + then:
        return f"AUDIT {audited}"
    if acknowledged and not whole and not command.best_effort:
        return f"LOST {audited}"
    seen = house.seen()
    if command is COMMANDS["passphrase change"]:
        right, wrong = house.passphrase, house.next_passphrase
        if whole:
            right, wrong = wrong, right
        if not house.opens(right):
            return "LOST passphrase"
        house.passphrase = right
    wanted = present if whole else house.state
    if seen != wanted:
        return f"HALF {_difference(seen, wanted)}"
    house.state = seen
    return "whole" if whole else "absent"


def _difference(seen: State, wanted: State) -> str:
    return "; ".join(f"{key}: {seen[key]} instead of {wanted[key]}" for key in wanted if seen[key] != wanted[key])


def attempt(command: Command, house: House) -> VaultClientError | None:
    """Runs a command; returns its error."""
    try:
        command.run(house)
    except VaultClientError as error:
        return error
    return None
