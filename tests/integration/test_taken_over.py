"""What a server that was taken over cannot do: the keyholder seals nothing that is not the vault's own."""

from collections.abc import Callable

import pytest

from tests.support import taken_over
from tests.support.daemon import PASSPHRASE, RECOVERY, Daemon
from vaultd_client.errors import VaultClientError


@pytest.fixture
def settled(daemon: Daemon, request: pytest.FixtureRequest) -> Daemon:
    """A vault of two exchanges, one with two versions, whose server tells the lie `request.param` once it is to."""
    taken_over.start(daemon, request.param)
    daemon.initialize()
    with daemon.admin() as admin:
        for name in ("alpha", "beta"):
            pairs = {half: {"api_key": f"{half}-key-of-{name}-0123456", "secret": f"{name} {half}"} for half in ("read", "write")}
            admin.create_exchange(name, "binance", pairs)
        admin.rotate_credential("alpha", "read", {"api_key": "read-key-of-alpha-new", "secret": "alpha read new"})
    daemon.add_bot(grants=False)
    return daemon


def lies(daemon: Daemon, ask: Callable[[], object], honest: object) -> str:
    """Asks an honest server, and then the lying one; returns the reason that the lie is refused for."""
    assert ask() == honest  # the control: it is the lie that is refused
    taken_over.lying(daemon).touch()
    with pytest.raises(VaultClientError) as caught:
        ask()
    taken_over.lying(daemon).unlink()
    return caught.value.reason


def only(lie: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settled", [lie], indirect=True)


@only("one row twice")
def test_a_rotation_that_would_lose_a_credential_is_refused(settled: Daemon) -> None:
    """Given one row twice and another never, the counts are right; what is left out would be lost with the old key."""

    def rotate() -> int:
        with settled.unlocker() as unlocker:
            return unlocker.master_key_rotate({1: bytearray(PASSPHRASE), 2: bytearray(RECOVERY)})

    assert lies(settled, rotate, 5) == "STORE_DAMAGED"
    with settled.admin() as admin:
        assert admin.reveal("alpha", "read").secret == "alpha read new"
        assert admin.reveal("beta", "write").secret == "beta write"
    assert rotate() == 5


@pytest.mark.parametrize("settled", ["an edited entry", "an entry twice", "entries of others"], indirect=True)
def test_an_audit_that_the_server_made_up_is_not_sealed(settled: Daemon) -> None:
    with settled.admin() as admin, settled.client() as stranger:
        with pytest.raises(VaultClientError):
            stranger.reveal("alpha")
        methods = ["AllowClient", "RotateCredential", "CreateExchange", "CreateExchange"]
        found = lies(settled, lambda: [each.method for each in admin.audit(client="admin", decision="allow")][:4], methods)
    assert found == "STORE_DAMAGED"


@pytest.mark.parametrize(
    ("settled", "reason"),
    [
        ("another exchange", "EXCHANGE_NOT_FOUND"),
        ("the other half", "CREDENTIAL_NOT_FOUND"),
        ("an older version", "CREDENTIAL_NOT_FOUND"),
    ],
    indirect=["settled"],
)
def test_a_row_that_is_the_vaults_own_is_not_given_for_another(settled: Daemon, reason: str) -> None:
    def reveal() -> tuple[str, str, str]:
        settled.lock()  # The keyholder remembers rows: only a fresh one asks.
        settled.unlock()
        with settled.admin() as admin:
            found = admin.reveal("alpha", "read")
        return found.name, found.configuration, found.secret

    assert lies(settled, reveal, ("alpha", "read", "alpha read new")) == reason
