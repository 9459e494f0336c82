"""Whatever is wrong with a request that proves no client, the answer is the same: byte for byte, and in its time."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, Self

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import spread
from tests.support.daemon import Daemon
from tests.support.forge import REFUSED, REVEAL, SECOND, Forger, Line, Request, envelope, now_ns, reveal_body
from tests.support.processes import until
from tests.support.sweep import Report
from vaultd_api.v1 import audit_service_pb2, client_service_pb2, exchange_service_pb2, options_pb2, vault_service_pb2
from vaultd_client import ClientKey, channel

METHODS = tuple(
    f"/{service.full_name}/{method.name}"
    for module in (vault_service_pb2, exchange_service_pb2, client_service_pb2, audit_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.GetOptions().HasExtension(options_pb2.signed_method)
)
LIST_ALL = "/vaultd.v1.ExchangeService/ListAllExchanges"
LOW_ORDER = (bytes(32), b"\1" + bytes(31), bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))

Change = Callable[[Request], Request]
WRONG: dict[str, Change] = {
    "other vault": lambda request: replace(request, vault_id=os.urandom(16)),
    "other epoch": lambda request: replace(request, epoch=os.urandom(16)),
    "unknown key": lambda request: replace(request, key_id=os.urandom(32)),
    "another uid": lambda request: replace(request, uid=request.uid + 1),
    "uid of nobody": lambda request: replace(request, uid=2**32 - 1),
    "expired": lambda request: replace(request, issued_at=now_ns() - 6 * SECOND, ttl_ms=5_000),
    "expired long ago": lambda request: replace(request, issued_at=0),
    "from the future": lambda request: replace(request, issued_at=now_ns() + 20 * SECOND),
    "from the end of time": lambda request: replace(request, issued_at=2**64 - 1),
    "no life": lambda request: replace(request, ttl_ms=0),
    "too long a life": lambda request: replace(request, ttl_ms=30_001),
    "endless life": lambda request: replace(request, ttl_ms=2**32 - 1),
    "a flag": lambda request: replace(request, flags=1),
    "another flag": lambda request: replace(request, flags=2**31),
    "no method": lambda request: replace(request, method=b""),
    "no such method": lambda request: replace(request, method=b"/vaultd.v1.VaultService/OpenSesame"),
    "a method in capitals": lambda request: replace(request, method=request.method.upper()),
    "a method with a NUL": lambda request: replace(request, method=request.method + b"\0"),
    "not ASCII": lambda request: replace(request, method=request.method + b"\xc3\xa9"),
    "bytes after its end": lambda request: replace(request, after=b"\0"),
    "another layout": lambda request: replace(request, magic=b"vaultd-req-v2\0\0\0"),
    "a reply's layout": lambda request: replace(request, magic=b"vaultd-rep-v1\0\0\0"),
    "no message": lambda request: replace(request, body=b"\xff" * 9),
    "a body cut short": lambda request: replace(request, body=b"\x0a\x7fx"),
    "answerable to nobody": lambda request: replace(request, reply_key=LOW_ORDER[0]),
    "answerable to everybody": lambda request: replace(request, reply_key=LOW_ORDER[1]),
}


@pytest.fixture(scope="module")
def bot(house: Daemon) -> Forger:
    return Forger(house, house.add_bot())


# --- one error ------------------------------------------------------------------------------------------------------

Case = tuple[str, str, bytes]
"""What is wrong, the method it is sent to, and the bytes."""


def wrong(house: Daemon, bot: Forger) -> Iterator[Case]:
    """Each fault alone, to every signed method; every two faults together; every key that is not the client's."""
    admin = Forger(house, house.admin_key)
    for method in METHODS:
        for what, change in WRONG.items():
            yield what, method, admin.seal(change(admin.request(method, b"")))
        # The signature is that of another request of the same client, or of the same request by another key.
        signed = admin.request(method, b"").signed()
        yield "signature of another request", method, envelope(signed, admin.key.sign(admin.request(method, b"").signed()))
        yield "signature by another key", method, envelope(signed, bot.key.sign(signed))
        yield "no signature", method, envelope(signed, b"")
        yield "signature of zeros", method, envelope(signed, bytes(64))
        yield "nothing", method, envelope(b"", b"")
        for other in METHODS:
            if other != method:
                yield "for another method", method, admin.seal(admin.request(other, b""))
    for (one, first), (two, second) in combinations(WRONG.items(), 2):
        yield f"{one} and {two}", REVEAL, bot.seal(second(first(bot.request())))
    for low in LOW_ORDER:
        # Under a key of low order R = identity, S = 0 verifies for anyone: nobody can have allowed such a key.
        signed = bot.request(key_id=_key_id(low)).signed()
        yield "a key of low order", REVEAL, envelope(signed, low + bytes(32))
        yield "a signature of low order", REVEAL, envelope(bot.request().signed(), low + bytes(32))


def tampered(bot: Forger) -> Iterator[Case]:
    """Every bit of a request and of its signature flipped; cut and continued everywhere."""
    signed = bot.request().signed()
    signature = bot.key.sign(signed)
    whole = signed + signature
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        yield "one bit", REVEAL, envelope(bytes(flipped[:-64]), bytes(flipped[-64:]))
    for length in range(len(signed)):
        yield "cut", REVEAL, envelope(signed[:length], signature)
        yield "cut and signed", REVEAL, envelope(signed[:length], bot.key.sign(signed[:length]))
    for length in range(64):
        yield "signature cut", REVEAL, envelope(signed, signature[:length])


def _key_id(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()


def matrix(name: str, line: Line, cases: list[Case]) -> Report:
    report = Report(name)
    for start in range(0, len(cases), 32):
        part = cases[start : start + 32]
        for (what, method, _), outcome in zip(part, line.send_each([(method, request) for _, method, request in part]), strict=True):
            report.add("refused alike" if outcome == REFUSED else f"OTHERWISE: {what} at {method}: {outcome.code}")
    report.show()
    assert set(report.found) == {"refused alike"}
    return report


def test_every_fault_gets_the_same_refusal(house: Daemon, bot: Forger, line: Line) -> None:
    cases = list(wrong(house, bot))
    assert len(METHODS) >= 15
    matrix("authentication matrix, quick", line, cases[:: max(1, len(cases) // 700)])
    assert line.send(REVEAL, bot.seal(bot.request())).code == "OK"


@pytest.mark.full
@pytest.mark.timeout(600)
def test_every_fault_gets_the_same_refusal_full(house: Daemon, bot: Forger, line: Line) -> None:
    cases = [*wrong(house, bot), *tampered(bot)]
    replayed = [bot.seal(bot.request()) for _ in range(200)]
    assert {outcome.code for outcome in line.send_all(REVEAL, replayed)} == {"OK"}
    cases += [("replayed", REVEAL, request) for request in replayed]
    assert matrix("authentication matrix, full", line, cases).tried >= 3_000
    assert line.send(REVEAL, bot.seal(bot.request())).code == "OK"


def test_the_matrix_sees_a_request_that_is_served_or_refused_otherwise(bot: Forger, line: Line) -> None:
    forbidden = bot.seal(bot.request(body=reveal_body(configuration="write")))
    for request in (bot.seal(bot.request()), forbidden):
        with pytest.raises(AssertionError, match="OTHERWISE"):
            matrix("authentication matrix, control", line, [("honest", REVEAL, request)])


# --- one time -------------------------------------------------------------------------------------------------------


class Stopwatch:
    """One channel; every call on it is made and waited for by itself."""

    def __init__(self, house: Daemon) -> None:
        self._channel = grpc.insecure_channel(channel.target(house.runtime / "vaultd.sock"), options=channel.OPTIONS)
        self._calls: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()

    def call(self, method: str, request: bytes) -> Callable[[], object]:
        """Returns a call that is ready to be timed."""
        rpc = self._calls.setdefault(method, self._channel.unary_unary(method))

        def call() -> str:
            try:
                rpc(request, timeout=20)
            except grpc.RpcError as error:
                return str(error)
            return ""

        return call


TWINS = ("bad signature", "bad signature, too", "bad signature, again", "bad signature, once more")
TIMED = (
    "other vault", "other epoch", "unknown key", "another uid", "expired", "from the future", "no life", "a flag",
    "not ASCII", "bytes after its end", "another layout", "no message", "answerable to nobody",
)  # fmt: skip


def causes(house: Daemon, bot: Forger, watch: Stopwatch) -> dict[str, Callable[[], Callable[[], object]]]:
    """Returns each cause as a function that makes a request of it; all have the same length but those of a layout."""
    stranger = ClientKey.generate()
    with house.admin() as admin:
        sleeper, leaver = house.stranger(), house.stranger()
        for name, key in (("sleeper", sleeper), ("leaver", leaver)):
            admin.allow_client(name, key.public_key, os.getuid())
        admin.update_client("sleeper", state="DISABLED")
        admin.revoke_client("leaver")
    disabled, revoked = Forger(house, sleeper), Forger(house, leaver)
    used = bot.seal(bot.request())
    with Line(house) as line:
        assert line.send(REVEAL, used).code == "OK"

    def forged() -> bytes:
        signed = bot.request().signed()
        return envelope(signed, stranger.sign(signed))

    def replayed() -> bytes:
        return bot.seal(bot.request(nonce=first.nonce))

    first = bot.request()
    with Line(house) as line:
        assert line.send(REVEAL, bot.seal(first)).code == "OK"
    made: dict[str, Callable[[], bytes]] = dict.fromkeys(TWINS, forged)
    made |= {what: lambda change=WRONG[what]: bot.seal(change(bot.request())) for what in TIMED}  # type: ignore[misc]
    made |= {
        "replayed": replayed,
        "disabled": lambda: disabled.seal(disabled.request()),
        "revoked": lambda: revoked.seal(revoked.request()),
        "stranger": lambda: bot.seal(replace(bot.request(), key_id=stranger.key_id)),
        "short signature": lambda: envelope(bot.request().signed(), bytes(63)),
        "other method": lambda: bot.seal(bot.request(LIST_ALL)),
    }
    return {name: lambda make=make: watch.call(REVEAL, make()) for name, make in made.items()}  # type: ignore[misc]


def _times(house: Daemon, bot: Forger, name: str, rounds: int) -> None:
    with Stopwatch(house) as watch:
        calls = causes(house, bot, watch)
        # Positive control: one that is answered takes the sealing of its answer longer.
        admin = Forger(house, house.admin_key)
        calls["ANSWERED"] = lambda: watch.call(LIST_ALL, admin.seal(admin.request(LIST_ALL, b"")))
        samples = spread.by_turns(calls, rounds)
    spread.show(name, samples, TWINS)
    assert spread.different(samples, TWINS) == ["ANSWERED"]


def test_the_time_of_a_refusal_does_not_tell_its_cause(house: Daemon, bot: Forger) -> None:
    _times(house, bot, "timing of refusals, quick", 150)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_the_time_of_a_refusal_does_not_tell_its_cause_full(house: Daemon, bot: Forger) -> None:
    """VAULTD_SWEEP_RUNS makes the rounds fewer, for a sample."""
    _times(house, bot, "timing of refusals, full", int(os.environ.get("VAULTD_SWEEP_RUNS", "5000")))


def _first_ones(house: Daemon, count: int) -> dict[str, list[int]]:
    """Times the first refusal of a kind, which gets its entry in the audit, beside those after it, which are counted."""
    samples: dict[str, list[int]] = {name: [] for name in ("first", "next", *TWINS)}
    chosen = random.Random(1)
    with Stopwatch(house) as watch:
        stranger = Ed25519PrivateKey.generate()
        keys = {f"new-{number}": house.stranger() for number in range(count)}
        with house.admin() as admin:
            for name, key in keys.items():
                admin.allow_client(name, key.public_key, os.getuid())
        for key in keys.values():
            forger = Forger(house, key)

            def refused(forger: Forger = forger) -> Callable[[], object]:
                return watch.call(REVEAL, forger.seal(forger.request(uid=4_242)))

            def alike(forger: Forger = forger) -> Callable[[], object]:
                signed = forger.request().signed()
                return watch.call(REVEAL, envelope(signed, stranger.sign(signed)))

            order = [*TWINS, "first"]
            chosen.shuffle(order)
            for name in order:
                samples[name] += spread.by_turns({name: refused if name == "first" else alike}, 1, warm_up=0)[name]
                if name == "first":
                    samples["next"] += spread.by_turns({"next": alike}, 1, warm_up=0)["next"]
    return samples


def test_the_time_of_a_refusal_does_not_tell_whether_it_is_the_first_of_its_kind(house: Daemon) -> None:
    # Counted apart only while there are fewer kinds than DENIAL_BUCKETS.
    samples = _first_ones(house, 120)
    spread.show("timing of a first refusal", samples, TWINS)
    assert spread.different(samples, TWINS) == []
    with house.admin() as admin:
        until(lambda: len([each for each in admin.audit(limit=1_000, decision="deny") if each.rule == "wrong-uid"]) >= 100)


def test_a_difference_of_a_twentieth_is_told_from_noise() -> None:
    """Positive control of the measure: made-up latencies with the noise of a busy machine."""
    source = random.Random(1)

    def draw(more: int) -> list[int]:
        return [int(1e6 * source.lognormvariate(0, 0.2)) + more for _ in range(2_000)]

    samples = {name: draw(0) for name in (*TWINS, "the same")} | {"slower": draw(50_000)}
    assert spread.different(samples, TWINS) == ["slower"]
