"""The table of methods is the protocol, and both clients have it all."""

import inspect
import re
from pathlib import Path
from typing import Any

from vaultd_api.v1 import (
    audit_service_pb2,
    client_service_pb2,
    exchange_service_pb2,
    options_pb2,
    vault_service_pb2,
)
from vaultd_client import methods
from vaultd_client.aio import AsyncVaultClient
from vaultd_client.client import VaultClient
from vaultd_client.methods import Method

PROTO = Path(__file__).parents[2] / "proto" / "vaultd" / "v1"
SERVICES = (exchange_service_pb2, client_service_pb2, audit_service_pb2, vault_service_pb2)


def table() -> dict[str, Method[Any]]:
    return {each.path: each for each in vars(methods).values() if isinstance(each, Method)}


def test_every_rpc_of_the_protocol_is_in_the_table_with_its_answer() -> None:
    found = {}
    for module in SERVICES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for rpc in service.methods:
                signed = rpc.GetOptions().Extensions[options_pb2.signed_method]
                answer = f"vaultd.v1.{signed.response}" if signed.response else rpc.output_type.full_name
                found[f"/{service.full_name}/{rpc.name}"] = (answer, bool(signed.response))
    assert found == {path: (each.response.DESCRIPTOR.full_name, each.signed) for path, each in table().items()}


def test_only_what_the_protocol_calls_idempotent_is_sent_again() -> None:
    said = {}
    for source in PROTO.glob("*_service.proto"):
        for comment, name in re.findall(r"((?:^ *//.*\n)+) *rpc (\w+)\(", source.read_text(), re.MULTILINE):
            said[name] = re.search(r"Idempotent: (\w+)\.", comment)[1] == "yes"  # type: ignore[index]
    assert said == {path.rpartition("/")[2]: each.idempotent for path, each in table().items()}
    assert set(said.values()) == {True, False}


def test_both_clients_have_the_same_methods() -> None:
    def shapes(kind: type) -> dict[str, inspect.Signature]:
        members = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(member) for name, member in members if not name.startswith("_")}

    sync, asynchronous = shapes(VaultClient), shapes(AsyncVaultClient)
    # Each makes the ccxt object of its own flavour, where none is named.
    defaults = [each["ccxt"].parameters["flavour"].default for each in (sync, asynchronous)]
    assert defaults == ["sync", "async"]
    assert sync.pop("ccxt").parameters.keys() == asynchronous.pop("ccxt").parameters.keys()
    assert sync == asynchronous
    coroutines = [inspect.iscoroutinefunction(getattr(AsyncVaultClient, name)) for name in shapes(VaultClient)]
    assert all(coroutines)
