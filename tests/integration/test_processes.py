"""Promises about the two processes: who dies with whom, what each has loaded, and who may look into them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import attack
from tests.support.attackers import REFUSED, attacked, undefended
from tests.support.daemon import Daemon
from tests.support.gate_house import as_root
from tests.support.processes import (
    NOBODY,
    children,
    daemon_of,
    ends_within,
    mapped_files,
    open_files,
    status_of,
    until,
)
from vaultd import limits
from vaultd.server.sockets import bind_public
from vaultd_client.errors import LockedError, TimedOutError


@pytest.fixture
def keyholder(vault: Daemon) -> Iterator[int]:
    """A descriptor of the process that is the keyholder of `vault`."""
    pidfd = os.pidfd_open(vault.keyholder_pid)
    yield pidfd
    os.close(pidfd)


def kill(pidfd: int) -> None:
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert ends_within(pidfd, 5)


def state(daemon: Daemon) -> str:
    with daemon.client() as anyone:
        return anyone.vault().state


# --- life and death ------------------------------------------------------------------------------------------------


def test_the_death_of_the_keyholder_is_the_lock(vault: Daemon, keyholder: int) -> None:
    with vault.client(vault.add_bot()) as bot:
        listed = bot.list()
        assert bot.reveal("binance-main").secret
        kill(keyholder)
        until(lambda: state(vault) == "LOCKED")
        with pytest.raises(LockedError) as caught:
            bot.reveal("binance-main")
        assert caught.value.reason == "VAULT_LOCKED"
        assert bot.list() == listed
        assert bot.get("binance-main") == listed[0]
        assert bot.vault().lock_cause == "the keyholder died"


def test_a_dead_keyholder_is_replaced_by_one_that_can_be_unlocked(vault: Daemon, keyholder: int) -> None:
    before = vault.keyholder_pid
    with vault.client(vault.add_bot()) as bot:
        kill(keyholder)
        with vault.unlocker() as unlocker:
            found = unlocker.status()
        assert (found.state, found.pid == before) == ("LOCKED", False)
        vault.unlock()
        assert bot.reveal("binance-main").secret


def test_a_keyholder_that_dies_while_it_starts_is_replaced_by_one_not_two(vault: Daemon, keyholder: int) -> None:
    key = vault.add_bot()
    kill(keyholder)
    until(lambda: bool(children(vault.pid)), seconds=20)
    starting = os.pidfd_open(children(vault.pid)[0])
    kill(starting)
    killed = time.monotonic()
    os.close(starting)
    until(lambda: bool(children(vault.pid)), seconds=20)
    vault.unlock()
    only = vault.keyholder_pid
    with vault.client(key) as bot:
        assert bot.reveal("binance-main").secret
        while time.monotonic() < killed + 6:  # longer than the pauses before another try, twice
            assert children(vault.pid) == [only]
            time.sleep(0.1)
        assert bot.reveal("binance-main").secret


@pytest.mark.parametrize("way", ["unlock socket", "signed request"])
def test_a_lock_is_the_death_of_the_keyholder(vault: Daemon, keyholder: int, way: str) -> None:
    before = vault.keyholder_pid
    if way == "unlock socket":
        vault.lock()
    else:
        with vault.admin() as admin:
            admin.lock()
    assert ends_within(keyholder, 1)
    assert vault.keyholder_pid != before
    assert state(vault) == "LOCKED"


def test_the_death_of_the_server_ends_the_keyholder_within_100_ms(vault: Daemon, keyholder: int) -> None:
    assert not ends_within(keyholder, 0)
    os.kill(vault.pid, signal.SIGKILL)
    assert ends_within(keyholder, 0.1)


def test_the_end_of_the_server_is_the_end_of_the_keyholder(vault: Daemon, keyholder: int) -> None:
    assert vault.stop() == 0
    assert ends_within(keyholder, 0.1)


def test_a_start_waits_for_the_socket_of_a_keyholder_that_is_about_to_end(base: Path) -> None:
    """Killed right after a lock, a server leaves a keyholder that has not yet looked for its parent."""
    path = base / "unlock.sock"
    with bind_public(path, 0o600) as left:
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[left.fileno()])
    with orphan, ThreadPoolExecutor(1) as other:
        start = other.submit(bind_public, path, 0o600)
        with pytest.raises(TimeoutError):
            start.result(0.2)
        orphan.kill()
        start.result(limits.ORPHAN_SECONDS).close()


def test_metadata_is_served_while_the_keyholder_stands_still(vault: Daemon, keyholder: int) -> None:
    key = vault.add_bot()
    with vault.client(key, timeout=1) as bot:
        listed = bot.list()
        signal.pidfd_send_signal(keyholder, signal.SIGSTOP)
        with pytest.raises(TimedOutError):
            bot.reveal("binance-main")  # the control: it stands still
        started = time.monotonic()
        assert bot.list() == listed
        assert bot.vault().state == "UNLOCKED"
        assert time.monotonic() - started < 1
        signal.pidfd_send_signal(keyholder, signal.SIGCONT)
        assert bot.reveal("binance-main").secret


# --- what is loaded ------------------------------------------------------------------------------------------------

# Runs every import statement of a module, those inside its functions too: what the process will have loaded.
IMPORTED = """
import ast, importlib.util, json, pathlib, sys
tree = ast.parse(pathlib.Path(importlib.util.find_spec(sys.argv[1]).origin).read_text())
for node in ast.walk(tree):
    if isinstance(node, ast.Import | ast.ImportFrom):
        exec(compile(ast.Module([node], []), "imports", "exec"), {})
print(json.dumps(sorted(sys.modules)))
"""


def imported_by(module: str) -> set[str]:
    """Returns the packages, ours with their first part, that are loaded once `module` has imported what it imports."""
    said = subprocess.run([sys.executable, "-c", IMPORTED, module], capture_output=True, check=True).stdout
    return {".".join(name.split(".")[: 2 if name.startswith("vaultd.") else 1]) for name in json.loads(said)}


def test_the_keyholder_loads_no_grpc_no_sqlite_and_nothing_of_the_server() -> None:
    talks = {"grpc", "sqlite3", "sqlite_utils", "vaultd.server", "vaultd.store"}
    keeps = {"cryptography", "argon2", "vaultd.crypto"}
    assert imported_by("vaultd.keyholder.__main__") & (talks | keeps) == keeps
    assert imported_by("vaultd.server.main") & (talks | keeps) == talks


@as_root
def test_neither_process_has_the_libraries_of_the_other_in_memory(shared: Daemon) -> None:
    server, keyholder = mapped_files(shared.pid), mapped_files(shared.keyholder_pid)
    for library in ("grpc/_cython/cygrpc", "_sqlite3", "libsqlite3"):
        assert library in server
        assert library not in keyholder
    for library in ("cryptography/hazmat/bindings/_rust", "argon2"):
        assert library not in server
        assert library in keyholder


@as_root
def test_the_keyholder_has_nothing_open_but_its_links_its_socket_and_its_log(shared: Daemon) -> None:
    log = str(shared.log_path)
    expected = {0: "/dev/null", 1: log, 2: log, 3: "socket", 4: "socket", 5: "anon_inode", 6: "pipe", 7: "pipe"}
    expected[8] = "socket"  # at which the server passes connections
    until(lambda: open_files(shared.keyholder_pid) == expected)
    assert str(shared.database) in open_files(shared.pid).values()  # the control: an open file shows


def test_the_keyholder_is_in_its_sandbox(shared: Daemon) -> None:
    server, keyholder = status_of(shared.pid), status_of(shared.keyholder_pid)
    assert (keyholder["Seccomp"], keyholder["NoNewPrivs"]) == ("2", "1")
    assert int(keyholder["Seccomp_filters"]) == int(server["Seccomp_filters"]) + 1
    with shared.client() as anyone:
        checks = {check.name: check.ok for check in anyone.vault().checks}
    assert checks["seccomp"]
    assert checks["primitives"]


# --- who may look --------------------------------------------------------------------------------------------------

@as_root
def test_a_process_of_the_same_user_can_read_neither_process() -> None:
    everything = set(attack.ATTEMPTS)
    with daemon_of(NOBODY) as daemon:
        keyholder = daemon.keyholder_pid
        for pid in (daemon.pid, keyholder):
            assert status_of(pid)["Uid"].split() == [str(NOBODY)] * 4
            found = attacked(pid)
            assert {name for name, error in found.items() if error} == everything
            assert set(found.values()) <= REFUSED
        assert daemon.keyholder_pid == keyholder  # and it is none the worse
        with daemon.admin() as admin:
            assert admin.reveal("binance-main").secret


@as_root
def test_the_attack_succeeds_on_a_process_that_does_not_defend_itself() -> None:
    with undefended() as victim:
        assert attacked(victim) == dict.fromkeys(attack.ATTEMPTS, 0)


def test_no_process_leaves_a_core(daemon: Daemon, tmp_path: Path) -> None:
    willing = ["prlimit", "--core=unlimited"]
    command = [*willing, sys.executable, "-c", "print('ready', flush=True); input()"]
    control = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert control.stdout is not None
    assert control.stdout.readline() == b"ready\n"
    if ended_by(control, signal.SIGABRT) != os.CLD_DUMPED:
        pytest.skip("this host writes no core files")
    daemon.start(*willing)
    daemon.initialize()
    keyholder = daemon.keyholder_pid
    for pid in (daemon.pid, keyholder):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core" in line).split()[4:6] == ["0", "0"]
    os.kill(keyholder, signal.SIGABRT)
    until(lambda: state(daemon) == "LOCKED")
    assert daemon.process is not None
    assert ended_by(daemon.process, signal.SIGABRT) == os.CLD_KILLED
    if list(tmp_path.glob("core*")):  # here, cores go to the working directory
        assert not list(daemon.home.rglob("core*"))


def ended_by(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Ends a child with a signal; returns CLD_KILLED or CLD_DUMPED."""
    process.send_signal(number)
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.communicate()
    assert found is not None
    return found.si_code
