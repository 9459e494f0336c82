"""Promises of proto/README.md about signed requests: only the one that was signed is answered, once; all others get
the same refusal, byte for byte, while the audit knows why.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.support.daemon import Daemon
from tests.support.forge import REFUSED, REVEAL, SECOND, Forger, Line, Request, envelope, now_ns, reveal_body
from tests.support.gate_house import OTHER, STRANGER, as_root, run_as
from tests.support.processes import until
from vaultd_api.v1 import client_service_pb2, resources_pb2
from vaultd_client import ClientKey

LIST_ALL = "/vaultd.v1.ExchangeService/ListAllExchanges"
GRANT = "/vaultd.v1.ClientService/CreateGrant"


@pytest.fixture(scope="module")
def bot(house: Daemon) -> Forger:
    """A client that may reveal the read half of binance-main."""
    return Forger(house, house.add_bot("bot"))


def rules(daemon: Daemon) -> set[str]:
    """Returns the rules of the denials in the audit."""
    with daemon.admin() as admin:
        return {entry.rule for entry in admin.audit(decision="deny")}


# --- one thing wrong -----------------------------------------------------------------------------------------------

Change = Callable[[Request], Request]
WRONG: dict[str, tuple[Change, str]] = {
    "of another vault": (lambda request: replace(request, vault_id=os.urandom(16)), "other-vault"),
    "of another epoch": (lambda request: replace(request, epoch=os.urandom(16)), "other-epoch"),
    "of another uid": (lambda request: replace(request, uid=request.uid + 1), "wrong-uid"),
    "expired": (lambda request: replace(request, issued_at=now_ns() - 6 * SECOND, ttl_ms=5_000), "expired"),
    "from the future": (lambda request: replace(request, issued_at=now_ns() + 2 * SECOND), "from-the-future"),
    "from the end of time": (lambda request: replace(request, issued_at=2**64 - 1), "from-the-future"),
    "without a life": (lambda request: replace(request, ttl_ms=0), "bad-ttl"),
    "too long-lived": (lambda request: replace(request, ttl_ms=30_001), "bad-ttl"),
    "with a flag": (lambda request: replace(request, flags=1), "bad-flags"),
    "for another method": (lambda request: replace(request, method=LIST_ALL.encode()), "other-method"),
    "for no method": (lambda request: replace(request, method=b""), "other-method"),
    "not in ASCII": (lambda request: replace(request, method=REVEAL.encode() + b"\xc3\xa9"), "malformed"),
    "with bytes after its end": (lambda request: replace(request, after=b"\0"), "malformed"),
    "of another layout": (lambda request: replace(request, magic=b"vaultd-req-v2\0\0\0"), "malformed"),
    "whose body is no message": (lambda request: replace(request, body=b"\xff" * 9), "bad-body"),
    "answerable to nobody": (lambda request: replace(request, reply_key=bytes(32)), "bad-reply-key"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_well_signed_request_is_refused(house: Daemon, bot: Forger, line: Line, what: str) -> None:
    change, rule = WRONG[what]
    honest = bot.request()
    assert line.send(REVEAL, bot.seal(change(honest))) == REFUSED
    until(lambda: rule in rules(house))
    # The control: the same but for the change. A nonce of its own, for some changes are noticed after it is used up.
    assert line.send(REVEAL, bot.seal(replace(honest, nonce=os.urandom(16)))).code == "OK"


@pytest.mark.parametrize(
    "change",
    [
        lambda request: replace(request, issued_at=now_ns() - 4 * SECOND, ttl_ms=5_000),
        lambda request: replace(request, issued_at=now_ns() + SECOND // 2),
        lambda request: replace(request, ttl_ms=30_000),
    ],
    ids=["almost expired", "half a second ahead", "as long-lived as may be"],
)
def test_a_request_just_within_the_bounds_is_answered(bot: Forger, line: Line, change: Change) -> None:
    assert line.send(REVEAL, bot.seal(change(bot.request()))).code == "OK"


def test_a_request_is_answered_once(house: Daemon, bot: Forger, line: Line) -> None:
    request = bot.seal(bot.request())
    assert line.send(REVEAL, request).code == "OK"
    assert line.send_all(REVEAL, [request] * 50) == [REFUSED] * 50
    until(lambda: "replayed" in rules(house))


def test_of_fifty_copies_at_once_one_is_answered(bot: Forger, line: Line) -> None:
    request = bot.seal(bot.request())
    outcomes = line.send_all(REVEAL, [request] * 50, at_once=50)
    assert sorted(outcome.code for outcome in outcomes) == ["OK"] + ["UNAUTHENTICATED"] * 49
    assert outcomes.count(REFUSED) == 49


def test_a_nonce_is_good_for_one_request(bot: Forger, line: Line) -> None:
    first = bot.request()
    assert line.send(REVEAL, bot.seal(first)).code == "OK"
    assert line.send(REVEAL, bot.seal(bot.request(nonce=first.nonce))) == REFUSED


def test_the_body_of_one_request_does_not_go_with_the_signature_of_another(bot: Forger, line: Line) -> None:
    read = bot.request(body=reveal_body("binance-main", "read"))
    write = replace(read, body=reveal_body("binance-main", "write"))
    signature = bot.key.sign(read.signed())
    assert line.send(REVEAL, envelope(write.signed(), signature)) == REFUSED
    assert line.send(REVEAL, envelope(read.signed(), signature)).code == "OK"


def test_a_request_for_one_method_is_refused_by_every_other(house: Daemon, line: Line) -> None:
    admin = Forger(house, house.admin_key)
    for method in (REVEAL, GRANT, "/vaultd.v1.VaultService/LockVault", "/vaultd.v1.AuditService/VerifyAudit"):
        # A fresh one each time: the method is compared last, when the nonce is used up.
        assert line.send(method, admin.seal(admin.request(LIST_ALL, b""))) == REFUSED
    assert line.send(LIST_ALL, admin.seal(admin.request(LIST_ALL, b""))).code == "OK"
    with house.client() as anyone:
        assert anyone.vault().state == "UNLOCKED"


def test_a_refused_request_changes_nothing(house: Daemon, line: Line) -> None:
    admin = Forger(house, house.admin_key)
    grant = resources_pb2.Grant(operation="reveal", exchange="binance-main", configuration="write")
    body = client_service_pb2.CreateGrantRequest(client="bot", grant=grant).SerializeToString()
    honest = admin.request(GRANT, body)
    for change, _ in WRONG.values():
        assert line.send(GRANT, admin.seal(change(replace(honest, nonce=os.urandom(16))))) == REFUSED
    assert grants(house, "bot") == ["read"]
    assert line.send(GRANT, admin.seal(honest)).code == "OK"
    assert grants(house, "bot") == ["read", "write"]


def grants(daemon: Daemon, name: str) -> list[str]:
    with daemon.admin() as admin:
        found = next(client for client in admin.clients() if client.name == name)
        return sorted(grant.configuration for grant in found.grants)


# --- every bit -----------------------------------------------------------------------------------------------------


def flips(data: bytes) -> Iterator[bytes]:
    """Yields `data` with each of its bits flipped in turn."""
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_every_flipped_bit_of_a_request_and_its_signature_is_refused(bot: Forger, line: Line) -> None:
    signed = bot.request().signed()
    signature = bot.key.sign(signed)
    tampered = [envelope(each, signature) for each in flips(signed)]
    tampered += [envelope(signed, each) for each in flips(signature)]
    assert len(tampered) == 8 * (len(signed) + 64) > 2_000
    assert set(line.send_all(REVEAL, tampered)) == {REFUSED}
    assert line.send(REVEAL, envelope(signed, signature)).code == "OK"  # the control: only the flip was wrong
    assert line.send(REVEAL, envelope(signed, signature)) == REFUSED


def test_a_request_cut_anywhere_or_continued_is_refused(bot: Forger, line: Line) -> None:
    signed = bot.request().signed()
    signature = bot.key.sign(signed)
    cut = [envelope(signed[:length], signature) for length in range(len(signed))]
    cut += [envelope(signed, signature[:length]) for length in range(64)]
    cut += [envelope(signed + bytes(more), signature) for more in (1, 2, 1_000)]
    cut += [envelope(signed, signature + bytes(more)) for more in (1, 64)]
    # Cut or continued, and signed so: the layout alone refuses them.
    cut += [envelope(signed[:length], bot.key.sign(signed[:length])) for length in range(len(signed))]
    assert set(line.send_all(REVEAL, cut)) == {REFUSED}
    assert line.send(REVEAL, envelope(signed, signature)).code == "OK"


@pytest.mark.full
@pytest.mark.timeout(600)
def test_every_other_byte_at_every_place_is_refused(bot: Forger, line: Line) -> None:
    honest = bot.request()
    for place in range(len(honest.signed()) + 64):
        signed = replace(honest, issued_at=now_ns()).signed()  # fresh for each place: none is refused for its age
        whole = signed + bot.key.sign(signed)
        changed = [whole[:place] + bytes([byte]) + whole[place + 1 :] for byte in range(256) if byte != whole[place]]
        tampered = [envelope(each[:-64], each[-64:]) for each in changed]
        assert set(line.send_all(REVEAL, tampered)) == {REFUSED}
    assert line.send(REVEAL, bot.seal(replace(honest, issued_at=now_ns()))).code == "OK"


# --- who -----------------------------------------------------------------------------------------------------------


def test_a_stranger_is_refused_like_everybody(house: Daemon, bot: Forger, line: Line) -> None:
    stranger = Forger(house, house.stranger())
    assert line.send(REVEAL, stranger.seal(stranger.request())) == REFUSED
    assert line.send(REVEAL, bot.seal(bot.request())).code == "OK"


def test_a_stranger_who_names_a_clients_key_is_refused(bot: Forger, line: Line) -> None:
    signed = bot.request().signed()
    assert line.send(REVEAL, envelope(signed, ClientKey.generate().sign(signed))) == REFUSED
    assert line.send(REVEAL, envelope(signed, bot.key.sign(signed))).code == "OK"


def test_a_client_cannot_speak_as_another(house: Daemon, bot: Forger, line: Line) -> None:
    admin = Forger(house, house.admin_key)
    request = bot.request(LIST_ALL, b"", key_id=admin.key.key_id)
    assert line.send(LIST_ALL, bot.seal(request)) == REFUSED
    assert line.send(LIST_ALL, admin.seal(request)).code == "OK"


def test_a_disabled_client_is_refused_and_served_again_when_enabled(house: Daemon, line: Line) -> None:
    sleeper = Forger(house, house.add_bot("sleeper"))
    before = sleeper.seal(sleeper.request())
    with house.admin() as admin:
        admin.update_client("sleeper", state="DISABLED")
        assert line.send(REVEAL, before) == REFUSED
        until(lambda: "client-disabled" in rules(house))
        admin.update_client("sleeper", state="ACTIVE")
    assert line.send(REVEAL, before).code == "OK"


def test_a_revoked_client_is_refused_and_its_key_never_taken_again(house: Daemon, line: Line) -> None:
    leaver = Forger(house, house.add_bot("leaver"))
    assert line.send(REVEAL, leaver.seal(leaver.request())).code == "OK"
    with house.admin() as admin:
        admin.revoke_client("leaver")
        assert line.send(REVEAL, leaver.seal(leaver.request())) == REFUSED
        until(lambda: "client-revoked" in rules(house))
        with pytest.raises(Exception, match="that key is already leaver's"):
            admin.allow_client("leaver-again", leaver.key.public_key, os.getuid())


def test_a_request_signed_before_a_lock_is_refused_after_the_unlock(vault: Daemon) -> None:
    bot = Forger(vault, vault.add_bot())
    before = bot.seal(bot.request())
    vault.lock()
    vault.unlock()
    with Line(vault) as line:
        assert line.send(REVEAL, before) == REFUSED
        until(lambda: "other-epoch" in rules(vault))
        after = Forger(vault, bot.key)
        assert after.epoch != bot.epoch
        assert line.send(REVEAL, after.seal(after.request())).code == "OK"


# --- where from ----------------------------------------------------------------------------------------------------


def test_a_request_that_does_not_come_through_the_gate_is_refused(house: Daemon, bot: Forger, line: Line) -> None:
    request = bot.seal(bot.request())
    with Line(house, house.runtime / "inner" / "grpc.sock") as behind:
        assert behind.send(REVEAL, request) == REFUSED
    assert line.send(REVEAL, request).code == "OK"


SEND = """
call = grpc.insecure_channel("unix:" + sys.argv[1]).unary_unary(sys.argv[2])
try:
    call(bytes.fromhex(sys.argv[3]), timeout=20)
    print("OK")
except grpc.RpcError as error:
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    print(error.code().name, error.details(), details.hex(), sep="|")
"""
REFUSED_TEXT = f"{REFUSED.code}|{REFUSED.message}|{REFUSED.data.hex()}"


def send_as(uid: int, daemon: Daemon, request: bytes) -> str:
    """Sends a request from a process of another user; returns what it saw."""
    path = daemon.runtime / "vaultd.sock"
    return asyncio.run(run_as(uid, SEND, path, REVEAL, request.hex(), grpc_too=True))


@as_root
def test_a_client_of_another_user_is_served_to_that_user_alone(house: Daemon, line: Line) -> None:
    theirs = Forger(house, house.add_bot("theirs", uid=STRANGER))
    stolen = [theirs.seal(theirs.request(uid=STRANGER)) for _ in range(3)]
    assert send_as(OTHER, house, stolen[0]) == REFUSED_TEXT
    assert line.send(REVEAL, stolen[1]) == REFUSED  # root is another user too
    assert line.send(REVEAL, theirs.seal(theirs.request())) == REFUSED  # whatever uid it says
    assert send_as(STRANGER, house, stolen[2]) == "OK"


@as_root
def test_another_user_cannot_use_the_key_of_root(house: Daemon, bot: Forger, line: Line) -> None:
    assert send_as(STRANGER, house, bot.seal(bot.request())) == REFUSED_TEXT
    assert send_as(STRANGER, house, bot.seal(bot.request(uid=STRANGER))) == REFUSED_TEXT
    until(lambda: "wrong-uid" in rules(house))
    assert line.send(REVEAL, bot.seal(bot.request())).code == "OK"
