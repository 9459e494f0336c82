"""Promises of `vaultd.server.gate` about bytes: all of them arrive, in both directions, at the pace of the slower side."""

import asyncio
import errno
import hashlib
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gate_house import (
    asynchronous,
    echo,
    empty_house,
    is_closed,
    receive,
    receive_all,
    send,
    serving,
    stream_house,
    until,
)
from vaultd import limits

KERNEL_BUFFERS = 2 * limits.MIB
"""More than two unix sockets and one read of the gate hold by default."""


# --- bytes ---------------------------------------------------------------------------------------------------------


@asynchronous
async def test_four_mebibytes_arrive_intact_both_ways_at_once(base: Path) -> None:
    data = os.urandom(4 * limits.MIB)
    async with stream_house(base) as found:
        with found.connect() as sock:
            _, back = await asyncio.gather(send(sock, data), receive_all(sock, len(data)))
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


@asynchronous
async def test_twenty_streams_at_once_do_not_mix(base: Path) -> None:
    async with stream_house(base) as found:

        async def stream(mark: int) -> bool:
            data = bytes([mark]) * limits.MIB
            with found.connect() as sock:
                _, back = await asyncio.gather(send(sock, data), receive_all(sock, len(data)))
            return back == data

        assert all(await asyncio.gather(*(stream(mark) for mark in range(20))))


@asynchronous
async def test_a_caller_that_has_said_all_still_hears_the_answer(base: Path) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hashlib.sha256(await reader.read()).digest())
        await writer.drain()

    data = os.urandom(limits.MIB)
    async with stream_house(base, answer_at_the_end) as found:
        with found.connect() as sock:
            await send(sock, data)
            sock.shutdown(socket.SHUT_WR)
            assert await receive_all(sock) == hashlib.sha256(data).digest()
        await until(lambda: found.gate.open_connections == 0)


@asynchronous
async def test_when_the_server_closes_the_caller_gets_all_it_said_and_then_the_end(base: Path) -> None:
    data = os.urandom(limits.MIB)

    async def say_and_leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    async with stream_house(base, say_and_leave) as found:
        with found.connect() as sock:
            await send(sock, b"x")
            assert await receive_all(sock, len(data)) == data
            assert await is_closed(sock)
            await until(lambda: found.gate.open_connections == 0)


@asynchronous
async def test_a_caller_that_leaves_is_gone_for_the_server_too(base: Path) -> None:
    ended = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with stream_house(base, wait_for_the_end) as found:
        with found.connect() as sock:
            await send(sock, b"x")
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: found.gate.open_connections == 0)


@asynchronous
async def test_a_caller_that_left_is_forgotten_even_if_the_server_does_not_care(base: Path) -> None:
    done = asyncio.Event()

    async def never_mind(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with stream_house(base, never_mind) as found:
        with found.connect() as sock:
            await send(sock, b"x")
            await until(lambda: len(found.table) == 1)
        await until(lambda: found.gate.open_connections == 0)
        assert len(found.table) == 0
        done.set()


@asynchronous
async def test_a_caller_that_does_not_read_stops_the_server_and_loses_nothing(base: Path) -> None:
    said = 0
    block = bytes(range(256)) * 256

    async def say_for_ever(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        while True:
            writer.write(block)
            said += len(block)
            await writer.drain()

    async with stream_house(base, say_for_ever) as found:
        with found.connect() as sock:
            await send(sock, b"x")
            before = -1
            while said != before:
                before = said
                await asyncio.sleep(0.1)
            assert 0 < said < KERNEL_BUFFERS
            assert await receive_all(sock, 8 * limits.MIB) == block * (8 * limits.MIB // len(block))


@asynchronous
async def test_a_server_that_does_not_read_stops_the_caller_and_loses_nothing(base: Path) -> None:
    go = asyncio.Event()

    async def read_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        writer.write(hashlib.sha256(await reader.read()).digest())

    data = os.urandom(4 * limits.MIB)
    async with stream_house(base, read_later) as found:
        with found.connect() as sock:
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += sock.send(data[sent:])
                    idle = 0
                except BlockingIOError:
                    idle += 1
                    await asyncio.sleep(0.01)
            assert 0 < sent < KERNEL_BUFFERS
            go.set()
            await send(sock, data[sent:])
            sock.shutdown(socket.SHUT_WR)
            assert await receive_all(sock) == hashlib.sha256(data).digest()


@asynchronous
async def test_a_caller_that_takes_nothing_is_dropped_and_a_slow_one_is_not(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_for_ever(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    monkeypatch.setattr(limits, "STALL_SECONDS", 0.5)
    async with stream_house(base, say_for_ever) as found:
        with found.connect() as stopped, found.connect() as slow:
            for sock in (stopped, slow):
                await send(sock, b"x")
            for _ in range(15):
                await asyncio.sleep(0.1)
                assert await receive(slow, 256 * limits.KIB)
            assert found.gate.open_connections == 1
            await until(lambda: found.gate.open_connections == 0)


# --- a server that is slow or not there ----------------------------------------------------------------------------


@asynchronous
async def test_a_full_accept_queue_behind_the_gate_is_waited_for(base: Path) -> None:
    async with empty_house(base) as found:
        with socket.socket(socket.AF_UNIX) as full, ExitStack() as stack:
            full.bind(str(found.inner))
            full.listen(0)
            socks = [stack.enter_context(found.connect()) for _ in range(10)]
            for sock in socks:
                await send(sock, b"hello")
            await until(lambda: found.gate.open_connections == 10)
            await asyncio.sleep(0.1)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as eleventh:
                assert eleventh.connect_ex(str(found.inner)) == errno.EAGAIN  # the control: it is full
            async with serving(echo, sock=full.dup()):
                assert [await receive(sock) for sock in socks] == [b"hello"] * 10
                stack.close()
                await until(lambda: found.gate.open_connections == 0)


@asynchronous
async def test_a_server_that_never_accepts_does_not_hold_callers_for_ever(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INNER_CONNECT_SECONDS", 0.3)
    async with empty_house(base) as found:
        with socket.socket(socket.AF_UNIX) as full, ExitStack() as stack:
            full.bind(str(found.inner))
            full.listen(0)
            socks = [stack.enter_context(found.connect()) for _ in range(10)]
            for sock in socks:
                await send(sock, b"hello")
            await until(lambda: found.gate.unreached == 9)
            assert found.gate.open_connections == 1


@asynchronous
async def test_a_caller_is_closed_when_nothing_is_behind_the_gate(base: Path) -> None:
    async with empty_house(base) as found:
        with found.connect() as sock:
            await send(sock, b"hello")
            assert await is_closed(sock)
        assert (found.gate.unreached, found.gate.open_connections) == (1, 0)
