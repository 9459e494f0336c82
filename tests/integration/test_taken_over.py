"""What a server that was taken over cannot do: the keyholder seals nothing that is not the vault's own."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import taken_over
from tests.support.daemon import PASSPHRASE, RECOVERY, Daemon, new_daemon
from vaultd_client.errors import VaultClientError


@pytest.fixture(scope="module")
def house() -> Iterator[Daemon]:
    """A vault of two exchanges, one with two versions of its read half, whose server was taken over."""
    with new_daemon() as daemon:
        taken_over.start(daemon)
        daemon.initialize()
        with daemon.admin() as admin:
            for name in ("alpha", "beta"):
                pairs = {half: {"api_key": f"{half}-key-of-{name}-0123456", "secret": f"{name}-{half}"} for half in ("read", "write")}
                admin.create_exchange(name, "binance", pairs)
            admin.rotate_credential("alpha", "read", {"api_key": "read-key-of-alpha-new", "secret": "alpha-read-new"})
        daemon.add_bot(grants=False)
        yield daemon


def refused(daemon: Daemon, lie: str, ask: Callable[[], object]) -> str:
    """Asks while the server lies; returns the reason that the answer is refused for."""
    with taken_over.lying(daemon, lie), pytest.raises(VaultClientError) as caught:
        ask()
    return caught.value.reason


def test_a_rotation_that_would_lose_a_credential_is_refused(house: Daemon) -> None:
    """Given one row twice and another never, the counts are right; what is left out would be lost with the old key."""

    def rotate() -> int:
        with house.unlocker() as unlocker:
            return unlocker.master_key_rotate({1: bytearray(PASSPHRASE), 2: bytearray(RECOVERY)})

    assert refused(house, "one row twice", rotate) == "STORE_DAMAGED"
    with house.admin() as admin:
        assert admin.reveal("alpha", "read").secret == "alpha-read-new"
        assert admin.reveal("beta", "write").secret == "beta-write"
    assert rotate() == 5  # the control: the honest server's is taken


@pytest.mark.parametrize("lie", ["an edited entry", "an entry twice", "entries of others"])
def test_an_audit_that_the_server_made_up_is_not_sealed(house: Daemon, lie: str) -> None:
    with house.admin() as admin, house.client() as stranger:
        with pytest.raises(VaultClientError):
            stranger.reveal("alpha")

        def newest() -> list[str]:
            return [each.client for each in admin.audit(client="admin", decision="allow", limit=4)]

        assert newest() == ["admin"] * 4  # the control
        assert refused(house, lie, newest) == "STORE_DAMAGED"


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("another exchange", "EXCHANGE_NOT_FOUND"),
        ("the other half", "CREDENTIAL_NOT_FOUND"),
        ("an older version", "CREDENTIAL_NOT_FOUND"),
    ],
)
def test_a_row_that_is_the_vaults_own_is_not_given_for_another(house: Daemon, lie: str, reason: str) -> None:
    def reveal() -> tuple[str, str, str]:
        house.lock()  # The keyholder remembers rows: only a fresh one asks.
        house.unlock()
        with house.admin() as admin:
            found = admin.reveal("alpha", "read")
        return found.name, found.configuration, found.secret

    assert reveal() == ("alpha", "read", "alpha-read-new")  # the control
    assert refused(house, lie, reveal) == reason
    house.lock()
    house.unlock()
