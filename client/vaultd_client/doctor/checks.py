"""The table of checks, in the order in which they are shown."""

from collections.abc import Callable, Iterator

from vaultd_client.doctor import files, host, memory, vault
from vaultd_client.doctor.finding import Finding, error
from vaultd_client.doctor.places import Places
from vaultd_client.doctor.vault import Asked

OF_HOST: tuple[Callable[[Places], Iterator[Finding]], ...] = (
    files.settings,
    files.sockets,
    files.store,
    files.key_file,
    memory.swap,
    memory.unit_swap,
    memory.core_files,
    host.kernel,
    host.clock,
    host.disk,
)
OF_VAULT: tuple[Callable[[Asked], Iterator[Finding]], ...] = (
    vault.running,
    vault.state,
    vault.clock_of_vault,
    vault.versions,
    vault.key_slots,
    vault.unattended_start,
    vault.backup_age,
    vault.key_sharing,
    vault.audit_chain,
)


def look(places: Places, asked: Asked) -> Iterator[Finding]:
    """Yields what every check finds."""
    for of_host in OF_HOST:
        try:
            yield from of_host(places)
        except OSError as problem:
            # One look that fails must not hide what the others see.
            yield error(of_host.__name__, f"cannot be looked at: {problem.strerror}", "sudo vaultctl doctor")
    for of_vault in OF_VAULT:
        yield from of_vault(asked)
