"""The protocol from a second language: Node.js signs, opens and refuses after proto/README.md and the vectors alone."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mock_venues
from tests.support.daemon import READ_PAIR, Daemon
from tests.support.mock_venues import Account, Venues
from vaultd_client import ClientKey, Pin

ROOT = Path(__file__).parents[2]
NODE = ROOT / "client" / "examples" / "node"
SECONDS = 60
STAYS = """
import { createInterface } from "node:readline";
import { Vault } from "./vaultd.mjs";
const vault = new Vault();
for await (const line of createInterface({ input: process.stdin })) {
  const said = await vault.reveal("binance-main").then(({ fields }) => fields.secret, ({ reason }) => reason);
  console.log(said);
}
vault.close();
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node.js example with its packages, in a place of its own."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed: the protocol was NOT tried from a second language")
    root = tmp_path_factory.mktemp("checkout")
    place = root / "client" / "examples" / "node"
    shutil.copytree(NODE, place, ignore=shutil.ignore_patterns("node_modules"))
    (root / "proto").symlink_to(ROOT / "proto")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@pytest.fixture
def venues() -> Iterator[Venues]:
    with mock_venues.running() as running:
        running.accounts[READ_PAIR["api_key"]] = Account("binance", READ_PAIR["secret"])
        yield running


def environment(daemon: Daemon, key: ClientKey) -> dict[str, str]:
    """The environment of a bot with that key."""
    path = daemon.home / "node.key"
    key.save(path, overwrite=True)
    return {"PATH": os.environ["PATH"], "VAULTD_RUNTIME_DIR": str(daemon.runtime), "VAULTD_KEY": str(path)}


def run(node: Path, *arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["node", *arguments], cwd=node, env=env, capture_output=True, text=True, check=False, timeout=SECONDS
    )


@pytest.mark.timeout(300)
def test_it_makes_and_opens_the_published_vectors(node: Path) -> None:
    done = run(node, "check_vectors.mjs", str(ROOT / "tests" / "vectors"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "request_v1.json signed",
        "request_v1.json signature",
        "reply_v1.json opened",
        "reply_v1.json changed, refused",
        "seal_v1.json vouched for",
        "seal_v1.json sealed and opened",
    ]


@pytest.mark.parametrize("name", ["request_v1.json", "reply_v1.json", "seal_v1.json"])
def test_a_vector_that_is_changed_is_noticed(node: Path, tmp_path: Path, name: str) -> None:
    for path in (ROOT / "tests" / "vectors").glob("*_v1.json"):
        shutil.copy(path, tmp_path)
    document = json.loads((tmp_path / name).read_text())
    field = "plaintext" if "plaintext" in document else "signed"
    document[field] = document[field][:-2] + f"{int(document[field][-2:], 16) ^ 1:02x}"
    (tmp_path / name).write_text(json.dumps(document))
    assert run(node, "check_vectors.mjs", str(tmp_path)).returncode == 1


@pytest.mark.timeout(300)
def test_its_bot_gets_its_key_and_the_venue_takes_what_it_signs(node: Path, vault: Daemon, venues: Venues) -> None:
    done = run(node, "bot.mjs", "binance-main", venues.address, env=environment(vault, vault.add_bot()))
    assert done.stdout == "BTC 1.25 0.25\n", done.stderr
    assert done.returncode == 0
    assert venues.signed == [("binance", READ_PAIR["api_key"], "/api/v3/account")]
    with vault.admin() as admin:
        entry = next(each for each in admin.audit() if each.method == "RevealCredential")
    assert (entry.client, entry.decision, entry.configuration) == ("bot", "allow", "read")


@pytest.mark.timeout(300)
def test_it_is_refused_like_every_other_client(node: Path, vault: Daemon) -> None:
    def said(key: ClientKey, exchange: str = "binance-main") -> str:
        done = run(node, "bot.mjs", exchange, "http://127.0.0.1:1", env=environment(vault, key))
        assert done.returncode == 1
        assert done.stdout == ""
        # Older versions of Node.js warn of their WebCrypto in lines of their own.
        return next(line.partition(":")[0] for line in done.stderr.splitlines() if re.match(r"[A-Z_]+: ", line))

    allowed = vault.add_bot()
    assert said(vault.stranger()) == "REQUEST_REFUSED"
    assert said(allowed, "nowhere") == "PERMISSION_DENIED"
    assert said(vault.add_bot("without-grant", grants=False)) == "PERMISSION_DENIED"
    assert said(allowed.with_pin(Pin(bytes(16), bytes(32)))) == "UNTRUSTED_VAULT"
    vault.lock()
    assert said(allowed) == "VAULT_LOCKED"
    vault.stop()
    assert said(allowed) == "NOT_RUNNING"


@pytest.mark.timeout(300)
def test_a_program_that_stays_goes_on_after_the_next_unlock(node: Path, vault: Daemon) -> None:
    (node / "stays.mjs").write_text(STAYS)
    with subprocess.Popen(
        ["node", "stays.mjs"],
        cwd=node,
        env=environment(vault, vault.add_bot()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:

        def ask() -> str:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write("\n")
            program.stdin.flush()
            return program.stdout.readline().strip()

        try:
            assert ask() == READ_PAIR["secret"]
            vault.lock()
            assert ask() == "VAULT_LOCKED"
            vault.unlock()
            assert ask() == READ_PAIR["secret"]
            # Unlocked anew without having noticed the lock: the epoch that it knows is refused, and it asks again.
            vault.lock()
            vault.unlock()
            assert ask() == READ_PAIR["secret"]
        finally:
            program.kill()


@pytest.mark.timeout(300)
def test_a_key_pair_that_it_seals_is_the_one_that_the_vault_stores(node: Path, vault: Daemon) -> None:
    code = """
    import { Vault } from "./vaultd.mjs";
    const vault = new Vault();
    const { version } = await vault.rotate("binance-main", "read", { api_key: "KEY-of-node", secret: "SECRET-of-node" });
    console.log(version, (await vault.reveal("binance-main", "read")).fields.secret);
    vault.close();
    """
    done = run(node, "--input-type=module", "-e", code, env=environment(vault, vault.admin_key))
    assert done.stdout == "2 SECRET-of-node\n", done.stderr
    with vault.admin() as admin:
        assert dict(admin.reveal("binance-main").fields) == {"api_key": "KEY-of-node", "secret": "SECRET-of-node"}


def test_its_clock_is_the_one_of_the_requests(node: Path) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    code = "import { bootTimeNs } from './vaultd.mjs'; console.log(String(bootTimeNs()))"
    done = run(node, "--input-type=module", "-e", code)
    hundredth = 10_000_000
    assert before - hundredth <= int(done.stdout) <= time.clock_gettime_ns(time.CLOCK_BOOTTIME), done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused(node: Path, shared: Daemon, mode: int) -> None:
    env = environment(shared, shared.stranger())
    Path(env["VAULTD_KEY"]).chmod(mode)
    done = run(node, "bot.mjs", "binance-main", env=env)
    assert "KEY_FILE" in done.stderr


def test_its_lock_file_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert {"node_modules/@grpc/grpc-js", "node_modules/@hpke/core"} <= packages.keys()
    assert [name for name, each in packages.items() if "resolved" in each] == []
    assert [name for name, each in packages.items() if not each["integrity"].startswith("sha512-")] == []
