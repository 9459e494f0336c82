"""The lock, and the death of the keyholder, while reveals are in flight: each reply is whole or an error, none half."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.forge import REVEAL, Forger, Outcome, envelope, outcome
from tests.support.machine import MachineKey
from tests.support.processes import until
from tests.support.sweep import Report
from vaultd_api.v1.envelope_pb2 import SignedReply
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialResponse
from vaultd_client import ClientKey, channel, wire
from vaultd_client.errors import UntrustedVaultError
from vaultd_client.unlock import UnlockClient

IN_FLIGHT = 50
GONE_WITHIN = 0.05
TYPED = {"FAILED_PRECONDITION", "UNAVAILABLE", "UNAUTHENTICATED"}
"""Locked; the keyholder ended before it answered; signed for the epoch before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on the wire, and what opens the reply to it."""

    signed: bytes
    signature: bytes
    reply_key: X25519PrivateKey


class Volley:
    """Fifty signed reveals, made beforehand, each to be sent once."""

    def __init__(self, daemon: Daemon, key: ClientKey) -> None:
        self.daemon = daemon
        self.key = key
        forger = Forger(daemon, key)
        self.asked = [self._made(forger) for _ in range(IN_FLIGHT)]

    @staticmethod
    def _made(forger: Forger) -> Asked:
        reply_key = X25519PrivateKey.generate()
        signed = forger.request(reply_key=reply_key.public_key().public_bytes_raw()).signed()
        return Asked(signed, forger.key.sign(signed), reply_key)

    def judge(self, outcomes: list[Outcome]) -> Iterator[str]:
        """Yields what each answer is: `whole`, the code of a typed error, or what is wrong with it."""
        for asked, found in zip(self.asked, outcomes, strict=True):
            if found.code != "OK":
                typed = found.code in TYPED and b"vaultd" in found.data
                yield found.code if typed else f"UNTYPED {found.code} {found.message}"
                continue
            yield "whole" if self._is_whole(asked, found.data) else "TORN"

    def _is_whole(self, asked: Asked, data: bytes) -> bool:
        reply = SignedReply.FromString(data)
        assert self.key.vault is not None
        try:
            plain = wire.open_reply(
                reply_key=asked.reply_key,
                identity=self.key.vault.identity,
                hashed=wire.request_hash(asked.signed, asked.signature),
                sealed=reply.sealed,
                signature=reply.signature,
            )
        except UntrustedVaultError:
            return False
        return RevealCredentialResponse.FromString(plain).fields.secret == READ_PAIR["secret"]


def fire(volley: Volley, line: grpc.Channel, strike: Callable[[], None], sent: int, answered: int) -> list[Outcome]:
    """Sends the volley; strikes when so many are sent and so many replies are in; returns its outcomes."""
    rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = line.unary_unary(REVEAL)
    requests = [envelope(each.signed, each.signature) for each in volley.asked]
    arrived, now = threading.Semaphore(0), threading.Event()
    calls = []

    def wait_and_strike() -> None:
        now.wait(30)
        for _ in range(answered):
            assert arrived.acquire(timeout=30)
        strike()

    with ThreadPoolExecutor(1) as other:
        striking = other.submit(wait_and_strike)
        for number, request in enumerate(requests):
            if number == sent:
                now.set()
            calls.append(rpc.future(request, timeout=30))
            calls[-1].add_done_callback(lambda _call: arrived.release())
        now.set()
        striking.result(60)
    outcomes = []
    for call in calls:
        try:
            outcomes.append(Outcome("OK", "", call.result()))
        except grpc.RpcError as error:
            outcomes.append(outcome(error))
    return outcomes


@pytest.fixture
def swift(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A vault that, like this thread, runs before others where that is allowed: the lock is timed, not their load."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield request.getfixturevalue("vault")
    finally:
        os.sched_setscheduler(0, *before)


@contextmanager
def connected(daemon: Daemon) -> Iterator[grpc.Channel]:
    """Yields a connection that is up: the first request must not wait for it."""
    with grpc.insecure_channel(channel.target(daemon.runtime / "vaultd.sock"), options=channel.OPTIONS) as made:
        grpc.channel_ready_future(made).result(20)
        yield made


def sweep(daemon: Daemon, name: str, rounds: int, *, kill: bool) -> None:
    """Strikes so many times, each at another moment of a volley of 50 reveals."""
    key = daemon.add_bot()
    machine = MachineKey(daemon)
    report = Report(name)
    gone: list[float] = []
    answered: list[float] = []
    interrupted = 0
    with connected(daemon) as line:
        for number in range(rounds):
            volley = Volley(daemon, key)
            with daemon.unlocker() as unlocker:
                keyholder = unlocker.status().pid
                pidfd = os.pidfd_open(keyholder)

                def strike(pidfd: int = pidfd, unlocker: UnlockClient = unlocker) -> None:
                    started = time.monotonic()
                    if kill:
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    else:
                        unlocker.lock()
                        answered.append(time.monotonic() - started)
                    assert select.select([pidfd], [], [], 10)[0]
                    gone.append(time.monotonic() - started)

                # At another moment in each round: 17 has no factor in common with 50.
                when = (17 * number % IN_FLIGHT, 0) if number % 2 else (IN_FLIGHT, 17 * number % IN_FLIGHT)
                found = list(volley.judge(fire(volley, line, strike, *when)))
                os.close(pidfd)
            for each in found:
                report.add(each)
            interrupted += 0 < found.count("whole") < IN_FLIGHT
            until(lambda before=keyholder: daemon.keyholder_pid != before, 20)  # type: ignore[misc]
            machine.unlock()
    report.show()
    for what, seconds in (("lock answered", sorted(answered)), ("keyholder gone", gone := sorted(gone))):
        if seconds:
            print(f"  {what} after p50 {seconds[len(seconds) // 2] * 1000:.1f} ms, max {seconds[-1] * 1000:.1f} ms")
    print(f"  {interrupted} of {rounds} volleys cut in the middle")
    assert set(report.found) <= {"whole", *TYPED}
    assert gone[-1] < GONE_WITHIN
    # Positive control: some were answered, some were not; else nothing was in flight.
    assert report.found["whole"]
    assert report.tried > report.found["whole"]
    with daemon.client(key) as bot:
        assert bot.reveal("binance-main").secret == READ_PAIR["secret"]
    with daemon.admin() as admin:
        assert admin.verify_audit().ok
        assert admin.why("bot", "binance-main", "read").allowed


def test_a_lock_under_load_tears_no_reply_and_ends_the_keyholder(swift: Daemon) -> None:
    sweep(swift, "lock under load, quick", 4, kill=False)


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_a_lock_under_load_tears_no_reply_and_ends_the_keyholder_full(swift: Daemon) -> None:
    sweep(swift, "lock under load, full", 200, kill=False)


def test_the_death_of_the_keyholder_under_load_tears_no_reply(swift: Daemon) -> None:
    sweep(swift, "kill -9 of the keyholder under load, quick", 3, kill=True)


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_the_death_of_the_keyholder_under_load_tears_no_reply_full(swift: Daemon) -> None:
    sweep(swift, "kill -9 of the keyholder under load, full", 100, kill=True)


def test_the_sweep_calls_a_changed_reply_torn(vault: Daemon) -> None:
    """Positive control: one flipped bit, a cut and the reply to another request are each noticed."""
    volley = Volley(vault, vault.add_bot())
    with connected(vault) as line:
        good = fire(volley, line, lambda: None, IN_FLIGHT, 0)
    assert set(volley.judge(good)) == {"whole"}
    reply = SignedReply.FromString(good[0].data)
    flipped = SignedReply(sealed=bytes([reply.sealed[0] ^ 1]) + reply.sealed[1:], signature=reply.signature)
    cut = SignedReply(sealed=reply.sealed[:-1], signature=reply.signature)
    bad = [Outcome("OK", "", each.SerializeToString()) for each in (flipped, cut)] + good[:1] + good[3:]
    assert list(volley.judge(bad))[:3] == ["TORN"] * 3
