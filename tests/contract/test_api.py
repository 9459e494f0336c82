"""Every RPC of the descriptors has all that belongs to it: policy row or handler, error rows, client methods, a command.

And every reason, permission and request of the unlock socket. What is added in one place and forgotten in another fails here.
"""

import re
import subprocess
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import click
import pytest

from tests.support.descriptors import ALL, CALLERS, IDEMPOTENT, PROTO, REASONS, Rpc, rpcs, said
from tests.support.reasons import of_handler
from vaultd import errors
from vaultd.keyholder.methods import METHODS
from vaultd.keyholder.unlock import REQUESTS
from vaultd.model import PERMISSIONS
from vaultd.server.open_methods import OpenMethods
from vaultd.server.status import CODES
from vaultd_api.v1.errors_pb2 import ErrorReason
from vaultd_client import AsyncVaultClient, VaultClient, methods
from vaultd_client import errors as client_errors
from vaultd_client.cli.exit_codes import ExitCode, exit_code
from vaultd_client.cli.main import vaultctl
from vaultd_client.unlock import UnlockClient

ROOT = Path(__file__).parents[2]


class Way(NamedTuple):
    """How a person or a program comes to an RPC: the client's method, and the command."""

    method: str
    command: str


WAYS = {
    "GetVault": Way("vault", "status"),
    "LockVault": Way("lock", "lock"),
    "BackupVault": Way("begin_backup", "backup create"),
    "ReadBackup": Way("read_backup", "backup create"),
    "ListKinds": Way("kinds", "kinds list"),
    "GetKind": Way("kind", "kinds show"),
    "ListExchanges": Way("list", "exchange list"),
    "GetExchange": Way("get", "exchange show"),
    "ListAllExchanges": Way("list", "exchange list --all"),
    "CreateExchange": Way("create_exchange", "exchange add"),
    "UpdateExchange": Way("update_exchange", "exchange update"),
    "RotateCredential": Way("rotate_credential", "exchange rotate"),
    "RecordKeyCheck": Way("record_key_check", "exchange verify"),
    "RevokeExchange": Way("revoke_exchange", "exchange revoke"),
    "RevokeCredential": Way("revoke_credential", "exchange revoke --configuration"),
    "DeleteExchange": Way("delete_exchange", "exchange delete"),
    "RevealCredential": Way("reveal", "reveal"),
    "AllowClient": Way("allow_client", "client allow"),
    "ListClients": Way("clients", "client list"),
    "UpdateClient": Way("update_client", "client update"),
    "RevokeClient": Way("revoke_client", "client revoke"),
    "ConfirmClient": Way("confirm_client", "client confirm"),
    "CreateGrant": Way("create_grant", "client grant"),
    "DeleteGrant": Way("delete_grant", "client ungrant"),
    "ExplainAccess": Way("why", "client why"),
    "ListAuditEntries": Way("audit", "audit show"),
    "VerifyAudit": Way("verify_audit", "audit verify"),
}
UNLOCK_WAYS = {
    "status": Way("status", "status"),
    "initialize": Way("initialize", "init"),
    "unlock": Way("unlock", "unlock"),
    "lock": Way("lock", "lock"),
    "records-check": Way("check_records", "backup verify"),
    "slot-list": Way("slots", "slot list"),
    "slot-add": Way("slot_add", "slot add"),
    "slot-remove": Way("slot_remove", "slot remove"),
    "passphrase-change": Way("passphrase_change", "passphrase change"),
    "master-key-rotate": Way("master_key_rotate", "master-key rotate"),
}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def uses(function: Any) -> set[str]:
    """Names that a function uses, and the functions of the client library that it calls, however deep."""
    found: set[str] = set()
    waiting, seen = [function], set()
    while waiting:
        made = waiting.pop()
        while hasattr(made, "__wrapped__"):
            made = made.__wrapped__
        if not isinstance(made, FunctionType) or made in seen or not made.__module__.startswith("vaultd_client"):
            continue
        seen.add(made)
        names = _names(made.__code__)
        found |= names
        for name in names:
            value = made.__globals__.get(name)
            if isinstance(value, ModuleType) and value.__name__.startswith("vaultd_client"):
                waiting += [getattr(value, other) for other in names if hasattr(value, other)]
            waiting.append(value)
    return found


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return {*code.co_names, *(name for each in inner for name in _names(each))}


def command_of(path: str) -> click.Command:
    """The command of a path; AssertionError where there is none, or not with that option."""
    words = [word for word in path.split() if not word.startswith("-")]
    found: click.Command = vaultctl
    for word in words:
        assert isinstance(found, click.Group), path
        assert word in found.commands, path
        found = found.commands[word]
    options = {name for each in found.params for name in each.opts}
    assert {word for word in path.split() if word.startswith("-")} <= options, path
    assert found.help, f"{path} says nothing of itself"
    return found


# --- RPCs -------------------------------------------------------------------------------------------------------


def test_the_generated_code_is_what_the_protos_make(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PROTO / "generate.py", tmp_path], check=True)
    kept = {path.name: path.read_text() for path in (ROOT / "client" / "vaultd_api" / "v1").glob("*_pb2.py*")}
    made = {path.name: path.read_text() for path in (tmp_path / "v1").iterdir()}
    assert made == kept
    assert {f"{path.stem}_pb2.py" for path in PROTO.glob("vaultd/v1/*.proto")} <= made.keys()


def test_every_signed_rpc_has_a_policy_row_and_no_row_is_left_over() -> None:
    assert METHODS.keys() == {rpc.path for rpc in rpcs() if rpc.signed}


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if rpc.signed], ids=lambda rpc: rpc.name)
def test_a_policy_row_parses_the_message_and_asks_for_the_permission_of_the_comment(rpc: Rpc) -> None:
    row = METHODS[rpc.path]
    assert row.request.DESCRIPTOR.name == rpc.request
    if row.permission:
        assert said(rpc, CALLERS) == [f"permission {row.permission}"]
        assert row.permission in PERMISSIONS
    else:
        assert said(rpc, CALLERS) == ["a grant to reveal", "or permission Exchanges:Reveal"]


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if rpc.signed], ids=lambda rpc: rpc.name)
def test_the_comment_names_the_reasons_that_the_handler_can_end_with(rpc: Rpc) -> None:
    handler = METHODS[rpc.path].handler
    can = of_handler(handler.__module__.rpartition(".")[2], handler.__name__)
    everywhere = {"VAULT_LOCKED", "REQUEST_REFUSED", "PERMISSION_DENIED", *reasons_of_every_signed_rpc()}
    assert set(said(rpc, REASONS)) - everywhere == can - everywhere


def reasons_of_every_signed_rpc() -> set[str]:
    comment = next(each.comment for each in ALL if each.path == "vaultd.v1.SignedRequest")
    found = re.search(r"besides those that the RPC names: ([A-Z_,\s]+)\.", comment)
    assert found is not None
    return {part.strip() for part in found[1].split(",")}


def test_the_reasons_of_every_signed_rpc_exist() -> None:
    assert reasons_of_every_signed_rpc() <= set(errors.BY_REASON)


def test_every_permission_is_asked_for_by_an_rpc() -> None:
    asked = {row.permission for row in METHODS.values()} | {"Exchanges:Reveal"}
    assert asked - {""} == set(PERMISSIONS)


def test_every_open_rpc_has_a_handler_and_no_handler_is_left_over() -> None:
    handlers = {name for name, value in vars(OpenMethods).items() if callable(value) and not name.startswith("_")}
    assert handlers - {"forget"} == {snake(rpc.name) for rpc in rpcs() if not rpc.signed}


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_the_client_knows_an_rpc_as_the_protos_do(rpc: Rpc) -> None:
    known = getattr(methods, snake(rpc.name).upper())
    assert known.path == rpc.path
    assert known.signed == rpc.signed
    assert known.response.DESCRIPTOR.name == rpc.response
    assert known.idempotent == (said(rpc, IDEMPOTENT) == ["yes"])


def test_the_client_knows_no_rpc_that_is_not_there() -> None:
    known = [value.path for value in vars(methods).values() if isinstance(value, methods.Method)]
    assert sorted(known) == sorted(rpc.path for rpc in rpcs())


def test_every_rpc_has_its_ways() -> None:
    assert WAYS.keys() == {rpc.name for rpc in rpcs()}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("client", [VaultClient, AsyncVaultClient])
def test_an_rpc_has_a_method_of_both_clients(client: type, name: str) -> None:
    assert snake(name).upper() in uses(getattr(client, WAYS[name].method))


@pytest.mark.parametrize("name", WAYS)
def test_an_rpc_has_a_command_that_uses_its_method(name: str) -> None:
    assert WAYS[name].method in uses(command_of(WAYS[name].command).callback)


def test_the_search_for_uses_finds_no_more_than_there_is() -> None:
    assert "REVEAL_CREDENTIAL" in uses(VaultClient.reveal) - uses(VaultClient.get)
    assert "DELETE_EXCHANGE" not in uses(VaultClient.get)
    assert "delete_exchange" not in uses(command_of("exchange show").callback)


# --- the unlock socket ------------------------------------------------------------------------------------------


def test_every_request_of_the_unlock_socket_is_drawn_and_has_its_ways() -> None:
    page = (PROTO / "README.md").read_text()
    drawn = set(re.findall(r"^\| `([a-z-]+)` \|", page[page.index("## unlock.sock") :], re.MULTILINE))
    assert drawn == REQUESTS.keys() == UNLOCK_WAYS.keys()


@pytest.mark.parametrize("name", UNLOCK_WAYS)
def test_a_request_of_the_unlock_socket_has_a_method_and_a_command(name: str) -> None:
    method, command = UNLOCK_WAYS[name]
    assert name in str(_constants(getattr(UnlockClient, method).__code__))
    assert method in uses(command_of(command).callback)


def _constants(code: CodeType) -> list[object]:
    return [each if not isinstance(each, CodeType) else _constants(each) for each in code.co_consts]


# --- errors -----------------------------------------------------------------------------------------------------

WORDS = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()]  # noqa: SIM118  the wrapper has no __iter__
REAL = [word for word in WORDS if word != "UNSPECIFIED"]


def test_every_reason_has_an_error_of_the_daemon_and_a_grpc_code() -> None:
    assert errors.BY_REASON.keys() == CODES.keys() == set(REAL)
    assert len({*errors.BY_REASON.values()}) == len(REAL)


@pytest.mark.parametrize("word", REAL)
def test_an_error_of_the_daemon_says_what_the_protos_say_of_its_reason(word: str) -> None:
    comment = next(each.comment for each in ALL if each.path.endswith(f".ERROR_REASON_{word}"))
    kind = errors.BY_REASON[word]
    assert " ".join(comment.split()) == " ".join((kind.__doc__ or "").split())
    assert kind.default
    assert errors.from_wire(kind().to_wire()).reason == word


def test_every_reason_has_a_class_and_a_hint_in_the_client() -> None:
    assert set(WORDS) <= client_errors.BY_REASON.keys() == client_errors.HINTS.keys()


@pytest.mark.parametrize("word", REAL)
def test_every_reason_has_an_exit_code_of_its_own_sort(word: str) -> None:
    code = exit_code(word)
    assert code in ExitCode
    assert code not in (ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED)
