"""Both clients over a real gRPC server on a real unix socket; behind it the scripted vault."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from tests.support.client_script import Script, revealing
from vaultd_api.v1 import exchange_service_pb2
from vaultd_client import AsyncVaultClient, ClientKey, VaultClient, methods
from vaultd_client.errors import (
    InternalError,
    InvalidError,
    KeyFileError,
    LockedError,
    NotRunningError,
    TimedOutError,
    VaultClientError,
)
from vaultd_client.session import Send

Serve = Callable[..., grpc.Server]


class Handler(grpc.GenericRpcHandler):
    """Answers every method with the script, and its errors as the daemon sends them."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.release = threading.Event()
        self.waiting = threading.Event()
        self.blocks = False

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self.answer(details.method, request, context)
        )

    def answer(self, method: str, request: bytes, context: Any) -> bytes:
        if self.blocks:
            self.waiting.set()
            self.release.wait(20)
        try:
            return self.script.answer(Send(method, request, signed=method == methods.REVEAL_CREDENTIAL.path))
        except VaultClientError as error:
            status = status_pb2.Status(code=9, message=error.message)
            packed = any_pb2.Any()
            packed.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="vaultd"))
            status.details.append(packed)
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.message)
            raise


@pytest.fixture
def script() -> Script:
    made = revealing()
    made.answers[methods.GET_EXCHANGE.path] = exchange_service_pb2.GetExchangeResponse(exchange={"name": "main"})
    return made


@pytest.fixture
def handler(script: Script) -> Handler:
    return Handler(script)


@pytest.fixture
def servers() -> list[grpc.Server]:
    return []


@pytest.fixture
def serve(handler: Handler, servers: list[grpc.Server]) -> Iterator[Serve]:
    def start(path: Path, other: Handler | None = None) -> grpc.Server:
        """Serves at a path: the same daemon once more, or another one beside it."""
        for earlier in servers if other is None else ():
            earlier.stop(None).wait()
        path.unlink(missing_ok=True)
        server = grpc.server(ThreadPoolExecutor(16), handlers=[other or handler])
        # A short name beside it: gRPC's server would read special characters as a URI.
        server.add_insecure_port(f"unix:{path.with_name('s')}")
        server.start()
        path.with_name("s").rename(path)
        servers.append(server)
        return server

    yield start
    handler.release.set()
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def socket(tmp_path: Path, serve: Serve) -> Path:
    path = tmp_path / "vaultd.sock"
    serve(path)
    return path


@pytest.fixture
def key(script: Script) -> ClientKey:
    return ClientKey.generate().with_pin(script.pin)


def refused_in(seconds: float, kind: type[VaultClientError], call: Callable[[], object]) -> VaultClientError:
    started = time.monotonic()
    with pytest.raises(kind) as error:
        call()
    assert time.monotonic() - started < seconds
    return error.value


def test_a_credential_is_revealed_to_a_program_without_an_event_loop(socket: Path, key: ClientKey) -> None:
    with VaultClient(socket, key) as client:
        assert client.vault().state == "UNLOCKED"
        assert client.reveal("main").api_key == "k"
        assert client.get("main").name == "main"


def test_a_credential_is_revealed_to_a_program_with_one(socket: Path, key: ClientKey) -> None:
    async def program() -> str:
        async with AsyncVaultClient(socket, key) as client:
            assert (await client.vault()).state == "UNLOCKED"
            revealed = await asyncio.gather(*(client.reveal("main") for _ in range(20)))
            return "".join(each.secret for each in revealed)

    assert asyncio.run(program()) == "s" * 20


def test_socket_and_key_are_found_without_being_told(
    socket: Path, key: ClientKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key.save(tmp_path / "client.key")
    monkeypatch.setenv("VAULTD_SOCKET", str(socket))
    monkeypatch.setenv("VAULTD_KEY", str(tmp_path / "client.key"))
    with VaultClient() as client:
        assert client.reveal("main").secret == "s"


def test_masked_metadata_needs_no_key(socket: Path, tmp_path: Path) -> None:
    with VaultClient(socket, tmp_path / "none") as client:
        assert client.get("main").name == "main"
        with pytest.raises(KeyFileError):
            client.reveal("main")


def test_one_client_serves_many_threads(socket: Path, key: ClientKey) -> None:
    with VaultClient(socket, key) as client, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: client.reveal("main").api_key, range(80)))
    assert found == ["k"] * 80


def test_the_daemons_reason_arrives_as_its_class(socket: Path, key: ClientKey, script: Script) -> None:
    for _ in range(2):
        script.failures.append(LockedError("the vault is locked"))
    with VaultClient(socket, key) as client, pytest.raises(LockedError, match="the vault is locked"):
        client.reveal("main")

    async def program() -> None:
        async with AsyncVaultClient(socket, key) as client:
            await client.reveal("main")

    with pytest.raises(LockedError, match="the vault is locked"):
        asyncio.run(program())


def test_the_text_of_a_foreign_error_is_not_repeated(socket: Path, script: Script) -> None:
    def explode(_body: bytes) -> Any:
        raise LookupError("CANARY")

    script.answers[methods.GET_EXCHANGE.path] = explode
    with VaultClient(socket) as client, pytest.raises(InternalError) as error:
        client.get("main")
    assert "CANARY" not in str(error.value)
    assert error.value.__cause__ is None


def test_no_socket_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with VaultClient(tmp_path / "none.sock") as client:
        monkeypatch.setattr(client._closed, "wait", lambda _seconds: pytest.fail("it waits"))
        assert refused_in(5, NotRunningError, client.vault).hint == "start it with: vaultd; as a service: sudo systemctl start vaultd"


def test_a_socket_that_nobody_listens_at_is_said_soon(tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / "vaultd.sock"
    serve(path).stop(None).wait()
    assert path.is_socket()
    with VaultClient(path) as client:
        refused_in(10, NotRunningError, client.vault)


def test_one_client_outlives_a_restart_of_the_daemon(
    socket: Path, key: ClientKey, serve: Serve, script: Script
) -> None:
    with VaultClient(socket, key) as client:
        assert client.reveal("main").api_key == "k"
        serve(socket)
        script.unlock()
        script.log.clear()
        assert client.reveal("main").api_key == "k"
        assert script.log == ["RevealCredential", "GetVault", "RevealCredential"]


def test_a_call_made_while_the_daemon_restarts_waits_for_it(
    socket: Path, key: ClientKey, serve: Serve, servers: list[grpc.Server]
) -> None:
    with VaultClient(socket, key) as client:
        assert client.reveal("main").api_key == "k"
        servers[-1].stop(None).wait()
        started = time.monotonic()
        threading.Timer(0.2, serve, [socket]).start()
        assert client.reveal("main").api_key == "k"
        assert time.monotonic() - started >= 0.2


def test_a_daemon_that_does_not_answer_is_given_up(socket: Path, handler: Handler) -> None:
    handler.blocks = True
    with VaultClient(socket, timeout=0.2) as client:
        refused_in(10, TimedOutError, client.vault)

    async def program() -> None:
        async with AsyncVaultClient(socket, timeout=0.2) as client:
            await client.vault()

    refused_in(10, TimedOutError, lambda: asyncio.run(program()))


def test_a_cancelled_task_ends_at_once(socket: Path, handler: Handler) -> None:
    handler.blocks = True

    async def program() -> None:
        async with AsyncVaultClient(socket, timeout=20) as client:
            task = asyncio.create_task(client.vault())
            await asyncio.to_thread(handler.waiting.wait, 5)
            task.cancel()
            await task

    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(program())
    assert time.monotonic() - started < 5


def test_closing_ends_a_call_that_waits_in_another_thread(socket: Path, handler: Handler) -> None:
    handler.blocks = True
    client = VaultClient(socket, timeout=20)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.vault)
        assert handler.waiting.wait(5)
        client.close()
        assert isinstance(waiting.exception(5), VaultClientError)
    with pytest.raises(ValueError, match="closed"):
        client.vault()


@pytest.mark.parametrize("name", ["a b", "%41", "x#y?z", "é", "a:b", "%"])
def test_a_path_with_special_characters_is_that_path(tmp_path: Path, serve: Serve, name: str) -> None:
    path = tmp_path / name
    serve(path)
    with VaultClient(path) as client:
        assert client.vault().state == "UNLOCKED"


def test_a_relative_path_works(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(socket.parent)
    with VaultClient(socket.name) as client:
        assert client.vault().state == "UNLOCKED"


def test_a_path_may_have_107_bytes_and_not_one_more(tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / ("x" * (106 - len(os.fsencode(tmp_path))))
    assert len(os.fsencode(path)) == 107
    serve(path)
    with VaultClient(path) as client:
        assert client.vault().state == "UNLOCKED"
    with pytest.raises(InvalidError, match="too long") as error:
        VaultClient(path.with_name(path.name + "x"))
    assert list(error.value.fields) == ["socket"]
    assert error.value.hint


def test_a_proxy_in_the_environment_is_not_used(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with VaultClient(socket) as client:
        assert client.vault().state == "UNLOCKED"


def test_a_client_of_a_new_daemon_does_not_reach_the_old_one_that_lingers(
    socket: Path, serve: Serve, script: Script
) -> None:
    other = revealing()
    with VaultClient(socket) as first:
        assert first.vault().vault_id == script.vault_id
        serve(socket, Handler(other))
        with VaultClient(socket) as second:
            assert second.vault().vault_id == other.vault_id
        assert first.vault().vault_id == script.vault_id
