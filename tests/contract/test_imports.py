"""Who may import whom: the contracts of pyproject.toml hold, each is broken by a planted import, and processes agree."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PACKAGES = {
    "vaultd": ROOT / "vaultd",
    "vaultd_client": ROOT / "client/vaultd_client",
    "vaultd_api": ROOT / "client/vaultd_api",
}
SERVER_SIDE = {"peercred", "process", "protocol", "stub"}
"""What the server knows of the keyholder."""


def lint(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Checks the contracts of a copy of the packages in `directory`, or of the project's own."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("copy")
    for name, path in PACKAGES.items():
        shutil.copytree(path, directory / name, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


PLANTED = {
    "layers": [
        ("vaultd/errors.py", "import vaultd.limits"),
        ("vaultd/model.py", "import vaultd.errors"),
        ("vaultd/limits.py", "import vaultd.messages"),
        ("vaultd/crypto/aead.py", "import vaultd.store.anchor"),
        ("vaultd/store/anchor.py", "import vaultd.keyholder.protocol"),
        ("vaultd/another.py", ""),
    ],
    "crypto": [
        ("vaultd/keyholder/protocol.py", "import vaultd.crypto.aead"),
        ("vaultd/keyholder/stub.py", "from vaultd.crypto import integrity"),
        ("vaultd/messages.py", "from vaultd.crypto.requests import key_id"),
    ],
    "server": [
        ("vaultd/server/rows.py", "import vaultd.crypto.aead"),
        ("vaultd/server/gate.py", "import cryptography"),
        ("vaultd/server/custody.py", "import vaultd.keyholder.ledger"),
        ("vaultd/store/queries.py", "def later():\n    import argon2"),
    ],
    "primitives": [("vaultd/keyholder/pairs.py", "import argon2"), ("vaultd/messages.py", "import cryptography.x509")],
    "keyholder": [
        ("vaultd/keyholder/records.py", "import grpc.aio"),
        ("vaultd/keyholder/vault.py", "def later():\n    import sqlite3"),
        ("vaultd/keyholder/stub.py", "import vaultd.store.anchor"),
        ("vaultd/packing.py", "import sqlite_utils"),
    ],
    "client": [("vaultd_client/wire.py", "import vaultd.limits"), ("vaultd_api/__init__.py", "import vaultd")],
    "library": [("vaultd_client/imports/jsons.py", "from vaultd_client.cli.failure import Failure")],
    "daemon": [
        ("vaultd/messages.py", "import vaultd_client.errors"),
        ("vaultd_api/__init__.py", "import vaultd_client"),
    ],
}


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


def test_the_contracts_hold_for_the_copy_in_which_violations_are_planted(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_has_its_planted_violations() -> None:
    assert {contract["id"] for contract in CONTRACTS} == PLANTED.keys()


@pytest.mark.parametrize(
    ("contract", "path", "line"), [(name, *each) for name, all_ in PLANTED.items() for each in all_]
)
def test_a_planted_import_breaks_its_contract(copy: Path, contract: str, path: str, line: str) -> None:
    file = copy / path
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n")
    try:
        done = lint(copy, "--contract", contract)
    finally:
        file.unlink()
        if before is not None:
            file.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout


def test_the_importers_of_crypto_are_modules_of_the_keyholders_child_side() -> None:
    allowed = next(each["allowed_importers"] for each in CONTRACTS if each["id"] == "crypto")
    modules = {f"vaultd.keyholder.{path.stem}" for path in (ROOT / "vaultd/keyholder").glob("*.py")}
    assert set(allowed) <= modules - {f"vaultd.keyholder.{name}" for name in SERVER_SIDE} - {
        "vaultd.keyholder.__init__"
    }
    assert len(set(allowed)) == len(allowed)


def test_every_module_of_the_daemon_is_named_where_primitives_are_forbidden() -> None:
    named = set(next(each["source_modules"] for each in CONTRACTS if each["id"] == "primitives"))
    present = {f"vaultd.{path.stem}" for path in (ROOT / "vaultd").iterdir() if path.suffix == ".py" or _package(path)}
    assert named == present - {"vaultd.__init__", "vaultd.crypto"}


def _package(path: Path) -> bool:
    return (path / "__init__.py").exists()


# --- what is loaded in fact, which no contract sees: imports inside libraries, and those made by name -------------------


def loaded(*modules: str) -> set[str]:
    """The top-level packages that an interpreter has loaded after it imported some modules, and modules of `vaultd`."""
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    names = done.stdout.split()
    return {name.partition(".")[0] for name in names} | {name for name in names if name.startswith("vaultd.")}


def test_the_servers_process_loads_no_crypto() -> None:
    found = loaded("vaultd.__main__", "vaultd.server.main")
    assert {"grpc", "sqlite3", "vaultd.keyholder.stub"} <= found
    assert not found & {"cryptography", "argon2", "_argon2_cffi_bindings", "vaultd.crypto", "vaultd_client"}


def test_the_keyholders_process_loads_neither_grpc_nor_sqlite() -> None:
    found = loaded("vaultd.keyholder.__main__", "vaultd.keyholder.run")
    assert {"cryptography", "argon2", "vaultd.keyholder.ledger"} <= found
    assert not found & {"grpc", "sqlite3", "_sqlite3", "sqlite_utils", "vaultd.store", "vaultd.server", "vaultd_client"}


def test_the_client_loads_nothing_of_the_daemon() -> None:
    found = loaded("vaultd_client", "vaultd_client.cli.main")
    assert {"vaultd_client", "vaultd_api", "grpc", "cryptography"} <= found
    assert not found & {"vaultd", "argon2", "sqlite3", "sqlite_utils", "msgpack"}
