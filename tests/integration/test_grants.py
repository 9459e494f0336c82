"""Promises of `vaultd.keyholder.policy`: nothing is revealed without a grant that says so, and `why` says which."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.daemon import Daemon
from tests.support.exchanges import pair
from tests.support.forge import REVEAL, Forger, Line, Outcome, reveal_body
from tests.support.processes import until
from vaultd_api.v1.client_service_pb2 import CreateGrantRequest
from vaultd_api.v1.resources_pb2 import Grant
from vaultd_client import VaultClient
from vaultd_client.errors import InvalidError, NotFoundError, RateLimitedError, RefusedError, VaultClientError

numbers = count(1)


@pytest.fixture(scope="module")
def house(house: Daemon) -> Daemon:
    """With binance-main two more exchanges, read half only: other, and secret-fund, which is hidden."""
    with house.admin() as admin:
        admin.create_exchange("other", "binance", {"read": pair("other")})
        admin.create_exchange("secret-fund", "binance", {"read": pair("secret-fund")}, hidden=True)
    return house


class Bot:
    """A client without a grant, named for the test's use."""

    def __init__(self, house: Daemon, *permissions: str) -> None:
        self.house = house
        self.name = f"bot-{next(numbers)}"
        self.key = house.add_bot(self.name, grants=False, permissions=permissions)
        self.client = house.client(self.key)

    def may(self, exchange: str = "binance-main", configuration: str = "read") -> bool:
        """Says whether it gets plaintext; any other answer than yes and PERMISSION_DENIED is an error."""
        try:
            found = self.client.reveal(exchange, configuration)
        except RefusedError as error:
            if error.reason != "PERMISSION_DENIED":
                raise
            return False
        return bool(found.secret)

    def outcome(self, exchange: str, configuration: str = "read") -> Outcome:
        """Returns all that it sees of an answer."""
        forger = Forger(self.house, self.key)
        with Line(self.house) as line:
            return line.send(REVEAL, forger.seal(forger.request(body=reveal_body(exchange, configuration))))


@pytest.fixture
def bot(house: Daemon) -> Iterator[Bot]:
    made = Bot(house)
    yield made
    made.client.close()


def last_denial(admin: VaultClient, name: str) -> str:
    """Returns the rule of a client's latest denial, once the audit has one."""
    until(lambda: bool(admin.audit(client=name, decision="deny")))
    return admin.audit(client=name, decision="deny")[0].rule


# --- scope ---------------------------------------------------------------------------------------------------------


def test_a_client_without_a_grant_gets_nothing(bot: Bot, admin: VaultClient) -> None:
    assert not any(bot.may("binance-main", half) for half in ("read", "write"))
    admin.create_grant(bot.name, "binance-main", "read")
    assert bot.may("binance-main", "read")


def test_a_grant_is_for_its_half_alone(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "binance-main", "write")
    assert bot.may("binance-main", "write")
    assert not bot.may("binance-main", "read")


def test_a_grant_is_for_its_exchange_alone(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "other", "read")
    assert bot.may("other")
    assert not bot.may("binance-main")
    assert not bot.may("secret-fund")


def test_a_grant_is_for_its_client_alone(house: Daemon, bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "binance-main", "*")
    neighbour = Bot(house)
    with neighbour.client:
        assert bot.may()
        assert not neighbour.may()


def test_a_grant_of_everything_is_for_every_exchange_but_only_its_half(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "*", "read")
    assert all(bot.may(exchange) for exchange in ("binance-main", "other", "secret-fund"))
    assert not bot.may("binance-main", "write")


def test_a_grant_of_both_halves_is_for_its_exchange_alone(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "binance-main", "*")
    assert all(bot.may("binance-main", half) for half in ("read", "write"))
    assert not bot.may("other")


def test_a_grant_follows_an_exchange_that_is_renamed_and_no_other_that_takes_its_name(
    bot: Bot, admin: VaultClient
) -> None:
    admin.create_exchange("first", "binance", {"read": {"api_key": "FIRST-key", "secret": "FIRST-secret"}})
    admin.create_grant(bot.name, "first", "read")
    admin.update_exchange("first", name="first-renamed")
    admin.create_exchange("first", "binance", {"read": {"api_key": "SECOND-key", "secret": "SECOND-secret"}})
    assert bot.client.reveal("first-renamed").secret == "FIRST-secret"
    assert not bot.may("first")


def test_there_is_no_grant_for_another_operation_or_half(bot: Bot, admin: VaultClient) -> None:
    with pytest.raises(InvalidError, match="operation"):
        admin.create_grant(bot.name, "binance-main", "read", operation="withdraw")
    with pytest.raises(InvalidError, match="configuration"):
        admin.create_grant(bot.name, "binance-main", "readwrite")
    assert not bot.may()
    assert admin.create_grant(bot.name, "binance-main", "read", operation="reveal").operation == "reveal"


# --- end and rate --------------------------------------------------------------------------------------------------


def test_a_grant_ends_at_its_time(bot: Bot, admin: VaultClient) -> None:
    end = datetime.now(UTC) + timedelta(seconds=0.8)
    grant = admin.create_grant(bot.name, "binance-main", "read", not_after=end)
    assert bot.may()
    until(lambda: not bot.may(), seconds=3)
    assert datetime.now(UTC) >= end
    assert last_denial(admin, bot.name) == f"grant {grant.id} ended"


def test_a_grant_cannot_begin_ended(bot: Bot, admin: VaultClient) -> None:
    with pytest.raises(InvalidError, match="not_after"):
        admin.create_grant(bot.name, "binance-main", "read", not_after=datetime.now(UTC) - timedelta(seconds=1))


@pytest.mark.parametrize("end", [Timestamp(seconds=10**15), Timestamp(seconds=4 * 10**9, nanos=-1)])
def test_an_end_that_is_no_time_names_the_field(bot: Bot, house: Daemon, end: Timestamp) -> None:
    """No honest client can say such a thing; it is a field that is wrong, and no defect of the daemon's."""
    forger, method = Forger(house, house.admin_key), "/vaultd.v1.ClientService/CreateGrant"
    grant = Grant(operation="reveal", exchange="binance-main", configuration="read", not_after=end)
    body = CreateGrantRequest(client=bot.name, grant=grant).SerializeToString()
    with Line(house) as line:
        outcome = line.send(method, forger.seal(forger.request(method, body)))
    assert outcome.code == "INVALID_ARGUMENT"
    assert b"not_after" in outcome.data


def test_a_rate_is_kept_and_grows_back(bot: Bot, admin: VaultClient) -> None:
    grant = admin.create_grant(bot.name, "binance-main", "read", rate=(2, 1))
    assert bot.may()
    assert bot.may()
    with pytest.raises(RateLimitedError):
        bot.may()
    assert last_denial(admin, bot.name) == f"grant {grant.id} rate"

    def allowed_again() -> bool:
        try:
            return bot.may()
        except RateLimitedError:
            return False

    until(allowed_again, seconds=3)


def test_a_rate_holds_for_requests_that_come_at_once(bot: Bot, house: Daemon, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "binance-main", "read", rate=(3, 60))
    forger = Forger(house, bot.key)
    with Line(house) as line:
        outcomes = line.send_all(REVEAL, [forger.seal(forger.request()) for _ in range(40)], at_once=40)
    assert [outcome.code for outcome in outcomes].count("OK") == 3
    assert {outcome.code for outcome in outcomes} == {"OK", "RESOURCE_EXHAUSTED"}


def test_a_used_up_rate_does_not_touch_another_grant(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "binance-main", "read", rate=(1, 60))
    assert bot.may()
    with pytest.raises(RateLimitedError):
        bot.may()
    assert not bot.may("binance-main", "write")
    admin.create_grant(bot.name, "binance-main", "read")
    assert bot.may()


# --- taken back ----------------------------------------------------------------------------------------------------


def test_a_grant_that_is_taken_back_is_gone(bot: Bot, admin: VaultClient) -> None:
    grant = admin.create_grant(bot.name, "binance-main", "read")
    assert bot.may()
    admin.delete_grant(bot.name, grant.id)
    assert not bot.may()
    with pytest.raises(NotFoundError):
        admin.delete_grant(bot.name, grant.id)


def test_a_grant_cannot_be_taken_from_another_client(house: Daemon, bot: Bot, admin: VaultClient) -> None:
    neighbour = Bot(house)
    with neighbour.client:
        grant = admin.create_grant(bot.name, "binance-main", "read")
        with pytest.raises(NotFoundError):
            admin.delete_grant(neighbour.name, grant.id)
        assert bot.may()


def test_a_deleted_exchange_takes_its_grants_along(bot: Bot, admin: VaultClient) -> None:
    pairs = {"read": {"api_key": "BRIEF-key", "secret": "BRIEF-secret"}}
    admin.create_exchange("brief", "binance", pairs)
    admin.create_grant(bot.name, "brief", "read")
    admin.create_grant(bot.name, "other", "read")
    assert bot.may("brief")
    admin.delete_exchange("brief")
    admin.create_exchange("brief", "binance", pairs)  # the same account by the same name is another exchange
    assert not bot.may("brief")
    assert bot.may("other")
    remaining = next(client for client in admin.clients() if client.name == bot.name).grants
    assert [grant.exchange for grant in remaining] == [admin.get("other").id]
    admin.delete_exchange("brief")


def test_a_disabled_exchange_reveals_nothing_until_it_is_enabled(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "other", "read")
    admin.update_exchange("other", state="DISABLED", lock_reason="audit")
    for client in (bot.client, admin):  # the administrator, too
        with pytest.raises(VaultClientError) as caught:
            client.reveal("other")
        assert caught.value.reason == "EXCHANGE_NOT_ACTIVE"
    admin.update_exchange("other", state="ACTIVE")
    assert bot.may("other")


# --- what a denial tells -------------------------------------------------------------------------------------------


def test_a_denial_does_not_tell_whether_the_exchange_exists(bot: Bot, admin: VaultClient) -> None:
    admin.create_grant(bot.name, "other", "read")
    visible, hidden, missing, id_of_none = (
        bot.outcome(exchange) for exchange in ("binance-main", "secret-fund", "no-such", "ex-aaaaa-bbbbb-ccccccccccccccc")
    )
    assert visible.code == "PERMISSION_DENIED"
    assert visible == hidden == missing == id_of_none == bot.outcome("other", "write")
    assert bot.outcome("other").code == "OK"


def test_a_denial_does_not_tell_whether_the_exchange_is_disabled(bot: Bot, admin: VaultClient) -> None:
    active = bot.outcome("secret-fund")
    admin.update_exchange("secret-fund", state="DISABLED")
    try:
        assert bot.outcome("secret-fund") == active
    finally:
        admin.update_exchange("secret-fund", state="ACTIVE")


@pytest.mark.parametrize(
    ("situation", "rule"),
    [
        ("granted", "grant {grant}"),
        ("no grant", "no-grant"),
        ("other half", "no-grant"),
        ("ended", "grant {grant} ended"),
        ("rate", "grant {grant} rate"),
        ("client disabled", "client-disabled"),
        ("exchange disabled", "exchange-disabled"),
        ("no key pair", "no-credential"),
        ("permission", "permission Exchanges:Reveal"),
    ],
)
def test_why_names_the_rule_that_decides(house: Daemon, admin: VaultClient, situation: str, rule: str) -> None:
    name = f"why-{situation.replace(' ', '-')}"
    pairs = {"read": {"api_key": f"{name}-key", "secret": "WHY-secret"}}
    if situation != "no key pair":
        pairs["write"] = {"api_key": f"{name}-write", "secret": "WHY-secret"}
    admin.create_exchange(name, "binance", pairs)
    bot = Bot(house, *(["Exchanges:Reveal"] if situation == "permission" else []))
    half, grant = ("read" if situation == "other half" else "write"), ""
    if situation not in ("no grant", "permission"):
        soon = datetime.now(UTC) + timedelta(seconds=0.4) if situation == "ended" else None
        rate = (1, 60) if situation == "rate" else None
        grant = admin.create_grant(bot.name, name, "write", not_after=soon, rate=rate).id
    with bot.client:
        if situation == "rate":
            assert bot.may(name, half)
        if situation == "ended":
            until(lambda: not admin.why(bot.name, name, half).allowed, seconds=3)
        if situation == "client disabled":
            admin.update_client(bot.name, state="DISABLED")
        if situation == "exchange disabled":
            admin.update_exchange(name, state="DISABLED")
        said = admin.why(bot.name, name, half)
        code = bot.outcome(name, half).code
    allowed = situation in ("granted", "permission")
    assert (said.rule, said.allowed, code == "OK") == (rule.format(grant=grant), allowed, allowed)
    decision = "allow" if allowed else "deny"
    until(lambda: said.rule in {entry.rule for entry in admin.audit(client=bot.name, decision=decision)})
