"""Promises of `vaultd.server.gate` about identity: a handler learns who really called."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.gate_house import (
    OTHER,
    STRANGER,
    as_root,
    ask,
    asked,
    asynchronous,
    descriptors,
    empty_house,
    grpc_house,
    is_closed,
    run_as,
    until,
)
from vaultd import limits
from vaultd.errors import ConfigInvalidError
from vaultd.server import gate as gates
from vaultd.server.gate import Gate
from vaultd.server.peer import PeerTable, own_peer
from vaultd.server.sockets import bind_public

ASK = """
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    print(channel.unary_unary("/test.Who/Call")(b"", timeout=10).decode())
"""

# --- identity ------------------------------------------------------------------------------------------------------

ASK_UNDER_A_NAME_OF_MY_CHOICE = """
# grpcio cannot bind its own socket: it goes through a relay of the attacker's, whose socket has the name.
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0relay-" + os.urandom(8).hex())
listener.listen()
out = socket.socket(socket.AF_UNIX)
out.bind("\\0" + sys.argv[2])
out.connect(sys.argv[1])
def relay():
    near, _ = listener.accept()
    other = {near: out, out: near}
    while True:
        for sock in select.select([near, out], [], [])[0]:
            data = sock.recv(65536)
            if not data:
                return
            other[sock].sendall(data)
threading.Thread(target=relay, daemon=True).start()
with grpc.insecure_channel("unix-abstract:" + listener.getsockname()[1:].decode()) as channel:
    print(channel.unary_unary("/test.Who/Call")(b"", timeout=10).decode())
"""


@asynchronous
async def test_a_handler_learns_that_we_called(base: Path) -> None:
    async with grpc_house(base) as found:
        name, _, peer = (await ask(found.public)).partition(" ")
    assert re.fullmatch("unix-abstract:vaultd-[0-9a-f]{32}", name)
    assert peer == str(own_peer())


@as_root
@asynchronous
async def test_a_handler_learns_which_other_user_called(base: Path) -> None:
    async with grpc_house(base) as found:
        for uid in (STRANGER, OTHER):
            assert f" Peer(uid={uid}, gid={uid}, " in await run_as(uid, ASK, found.public, grpc_too=True)


@as_root
@pytest.mark.parametrize("name", ["vaultd-{}", "vaultd-{};uid=0;", "vaultd-{}-0-1", "unix-abstract:vaultd-{}"])
@asynchronous
async def test_a_name_of_the_callers_choice_changes_nothing(base: Path, name: str) -> None:
    async with grpc_house(base) as found:
        chosen = name.format(secrets.token_hex(16))
        said = await run_as(STRANGER, ASK_UNDER_A_NAME_OF_MY_CHOICE, found.public, chosen, grpc_too=True)
    assert chosen not in said
    assert f" Peer(uid={STRANGER}, gid={STRANGER}, " in said


@asynchronous
async def test_a_look_alike_name_on_the_inner_socket_is_nobody(base: Path) -> None:
    async with grpc_house(base) as found:
        chosen = f"vaultd-{secrets.token_hex(16)}"
        said = await run_as(os.geteuid(), ASK_UNDER_A_NAME_OF_MY_CHOICE, found.inner, chosen, grpc_too=True)
        assert said == f"unix-abstract:{chosen} None"  # gRPC does say the name: only the table tells the two apart
        assert str(own_peer()) in await ask(found.public)


@asynchronous
async def test_a_call_past_the_gate_is_nobody(base: Path) -> None:
    async with grpc_house(base) as found:
        assert await ask(found.inner) == "unix: None"


@as_root
@asynchronous
async def test_another_user_cannot_reach_the_inner_socket(base: Path) -> None:
    connect = "print(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))"
    async with grpc_house(base) as found:
        found.inner.chmod(0o777)  # its own mode does not matter: the directory keeps others out
        assert await run_as(STRANGER, connect, found.inner) == "13"
        assert await run_as(STRANGER, connect, found.public) == "0"


@asynchronous
async def test_a_name_in_use_cannot_be_taken(base: Path) -> None:
    take = """
code = socket.socket(socket.AF_UNIX)
try:
    code.bind("\\0" + sys.argv[1])
    print("taken")
except OSError as error:
    print(error.errno)
"""
    async with grpc_house(base) as found, asked(found.public) as answer:
        name = answer.partition(" ")[0].partition(":")[2]
        assert f"@{name}\n" in Path("/proc/net/unix").read_text()  # noqa: ASYNC240 - anybody can see it
        assert await run_as(STRANGER if os.geteuid() == 0 else os.geteuid(), take, name) == "98"
        assert await run_as(STRANGER if os.geteuid() == 0 else os.geteuid(), take, name[:-1]) == "taken"


@asynchronous
async def test_the_table_forgets_a_caller_that_left(base: Path) -> None:
    async with grpc_house(base) as found:
        name = (await ask(found.public)).partition(" ")[0]
        await until(lambda: found.gate.open_connections == 0)
        assert len(found.table) == 0
        assert found.table.lookup(name) is None


@asynchronous
async def test_a_caller_that_cannot_be_identified_is_closed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise PermissionError(1, "the kernel cannot name the peer")

    async with grpc_house(base) as found:
        with monkeypatch.context() as patch, found.connect() as sock:
            patch.setattr(gates, "peer_of", unknown)
            assert await is_closed(sock)
        assert (found.gate.refused, found.gate.open_connections, len(found.table)) == (1, 0, 0)
        assert str(own_peer()) in await ask(found.public)


@pytest.mark.parametrize("mode", [0o755, 0o701])
@asynchronous
async def test_a_gate_does_not_start_before_an_inner_directory_that_others_may_enter(base: Path, mode: int) -> None:
    (base / "inner").mkdir()
    (base / "inner").chmod(mode)
    gate = Gate(bind_public(base / "vaultd.sock", 0o666), base / "inner" / "g.sock", PeerTable())
    with pytest.raises(ConfigInvalidError):
        await gate.start()
    await gate.stop()


# --- self-test -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def probe(path: Path) -> AsyncIterator[str]:
    async with asked(path) as answer:
        yield answer.partition(" ")[0]


@asynchronous
async def test_the_self_test_passes_through_the_gate_and_fails_past_it(base: Path) -> None:
    async with grpc_house(base) as found:
        assert (await found.gate.self_test(probe(found.public))).ok
        assert not (await found.gate.self_test(probe(found.inner))).ok


@asynchronous
async def test_the_self_test_fails_when_another_caller_is_named(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "own_peer", lambda: replace(own_peer(), uid=OTHER))
    async with grpc_house(base) as found:
        assert not (await found.gate.self_test(probe(found.public))).ok


@asynchronous
async def test_the_self_test_fails_when_the_call_fails_or_hangs(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with empty_house(base) as found:
        assert not (await found.gate.self_test(probe(base / "nowhere.sock"))).ok
        monkeypatch.setattr(limits, "SELF_TEST_SECONDS", 0.1)
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(found.inner))
            deaf.listen()
            assert not (await found.gate.self_test(probe(found.public))).ok


# --- many at once --------------------------------------------------------------------------------------------------

MANY = """
local = [("grpc.use_local_subchannel_pool", 1)]
channels = [grpc.insecure_channel("unix:" + sys.argv[1], options=local) for _ in range(int(sys.argv[2]))]
mine = f" Peer(uid={os.getuid()}, gid={os.getgid()}, pid={os.getpid()}, ".encode()
right = 0
for _ in range(int(sys.argv[3])):
    calls = [channel.unary_unary("/test.Who/Call").future(b"", timeout=40) for channel in channels]
    right += sum(mine in call.result() for call in calls)
print(right)
"""


@as_root
@asynchronous
async def test_five_hundred_clients_of_eight_users_each_get_their_own_identity(base: Path) -> None:
    async with grpc_house(base) as found:
        await ask(found.public)
        await until(lambda: found.gate.open_connections == 0)
        before = descriptors()
        uids = range(STRANGER, STRANGER + 8)
        said = await asyncio.gather(*(run_as(uid, MANY, found.public, 64, 5, grpc_too=True) for uid in uids))
        assert said == ["320"] * 8
        await until(lambda: found.gate.open_connections == 0)
        await until(lambda: descriptors() <= before + 5)
        assert found.gate.refused == 0
