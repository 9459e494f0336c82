"""`vaultctl run`: nobody but the bot sees its keys, and nothing is left behind, whatever is killed, and when."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.bots import CCXT, ENV, PASSIVBOT, SECRETS, command, running, tree
from tests.support.daemon import READ_PAIR, Daemon
from tests.support.gate_house import as_root
from tests.support.memory import scan_arguments, scan_files, scan_memory
from tests.support.processes import NOBODY, becoming, children, daemon_of, ends_within, until
from tests.support.vaultctl import vaultctl

pytestmark = pytest.mark.usefixtures("no_bot_outlives_its_test")


# --- who else sees it -------------------------------------------------------------------------------------------------


def exposed(pids: list[int]) -> set[tuple[int, str]]:
    """Returns process and place of every secret in arguments or environment."""
    return {(pid, hit.where) for pid in pids for hit in scan_arguments(pid, SECRETS)}


@as_root
@pytest.mark.parametrize("options", [CCXT, PASSIVBOT], ids=["descriptor", "private file"])
def test_no_secret_is_in_arguments_environment_log_or_parent(
    shared: Daemon, bot_key: Path, bot_home: Path, options: tuple[str, ...]
) -> None:
    file = "{feed}" if options is CCXT else "api-keys.json"
    with running(shared, bot_key, options, command("wait", file), cwd=bot_home) as bot:
        everybody = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
        alive = [pid for pid in everybody if Path(f"/proc/{pid}/environ").exists() and pid != os.getpid()]
        assert {bot.process.pid, bot.told["pid"]} <= set(alive)
        for pid in tree(bot.process.pid):
            assert scan_arguments(pid, SECRETS) == []
        assert scan_memory(bot.process.pid, SECRETS).hits == ()
        assert {hit.secret for hit in scan_memory(bot.told["pid"], SECRETS).hits} == set(SECRETS)  # the control
        assert scan_files(bot_home, SECRETS) == []
        assert scan_files(shared.home, SECRETS) == []
        bot.process.terminate()
        bot.end()
        assert READ_PAIR["secret"] not in bot.error()


@as_root
def test_the_search_finds_a_secret_that_was_allowed_into_the_environment(shared: Daemon, bot_key: Path) -> None:
    with running(shared, bot_key, ENV, command("wait")) as bot:
        assert exposed(tree(bot.process.pid)) == {(bot.told["pid"], "environ")}
        assert scan_memory(bot.process.pid, SECRETS).hits == ()


def test_the_bot_leaves_no_core(shared: Daemon, bot_key: Path) -> None:
    done = vaultctl(shared, "run", *CCXT, "--", "sh", "-c", "ulimit -Hc; : {{feed}}", key=bot_key)
    assert done.stdout == "0\n"


# --- nothing is left --------------------------------------------------------------------------------------------------


def left(daemon: Daemon, home: Path) -> list[str]:
    """Returns every trace of a run: files, mounts, processes of the bot."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if "vaultd " in line]
    files = [str(hit) for root in (home, daemon.home, Path("/dev/shm")) for hit in scan_files(root, SECRETS)]
    processes = []
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and os.readlink(each / "cwd") == str(home):
                processes.append((each / "cmdline").read_text())
        except OSError:
            continue
    return [*mounts, *files, *processes]


@pytest.fixture(params=[CCXT, PASSIVBOT, ENV], ids=["descriptor", "private file", "environment"])
def bot_options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    options: tuple[str, ...] = request.param
    return options


def bot_of(options: tuple[str, ...]) -> list[str]:
    return command("wait", *{CCXT: ["{feed}"], PASSIVBOT: ["api-keys.json"], ENV: []}[options])


@pytest.mark.parametrize("whom", ["vaultctl", "bot", "both"])
def test_kill_9_leaves_nothing(shared: Daemon, bot_key: Path, bot_home: Path, bot_options: tuple[str, ...], whom: str) -> None:
    listed = sorted(bot_home.rglob("*"))
    with running(shared, bot_key, bot_options, bot_of(bot_options), cwd=bot_home) as bot:
        assert left(shared, bot_home) != []  # the control: its processes are seen
        pidfd = os.pidfd_open(bot.told["pid"])
        for pid in {"vaultctl": [bot.process.pid], "bot": [bot.told["pid"]]}.get(
            whom, [bot.process.pid, bot.told["pid"]]
        ):
            os.kill(pid, signal.SIGKILL)
        assert bot.end() == -signal.SIGKILL
        assert ends_within(pidfd, 10)  # the bot of a killed vaultctl got SIGTERM
        os.close(pidfd)
        until(lambda: left(shared, bot_home) == [])
    assert sorted(bot_home.rglob("*")) == listed


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.85, 1.0])
def test_kill_9_on_the_way_leaves_nothing(
    shared: Daemon, bot_key: Path, bot_home: Path, bot_options: tuple[str, ...], share: float, duration: float
) -> None:
    listed = sorted(bot_home.rglob("*"))
    with running(shared, bot_key, bot_options, bot_of(bot_options), cwd=bot_home, ready=False) as bot:
        pidfd = os.pidfd_open(bot.process.pid)
        ends_within(pidfd, share * duration)
        os.close(pidfd)
        bot.process.kill()
        bot.end()
        until(lambda: left(shared, bot_home) == [])
    assert sorted(bot_home.rglob("*")) == listed


@pytest.fixture(scope="module")
def duration(shared: Daemon, bot_key: Path) -> float:
    """Seconds from the start of vaultctl to the bot's first word."""
    began = time.monotonic()
    with running(shared, bot_key, CCXT, command("wait", "{feed}")):
        return time.monotonic() - began


# --- for an ordinary user, too ----------------------------------------------------------------------------------------


@as_root
def test_an_ordinary_user_gets_private_files_too() -> None:
    with daemon_of(NOBODY) as daemon:
        home = daemon.home / "bot"
        home.mkdir()
        (home / "api-keys.json").write_text("{}")
        path = home / "bot.key"
        daemon.add_bot(uid=NOBODY).save(path)
        for each in (home, home / "api-keys.json", path):
            os.chown(each, NOBODY, NOBODY)
        script = "tr -d '\\n ' < api-keys.json; echo; id -u; grep -h ^Cap /proc/self/status; exec sleep 1000"
        bot = ["sh", "-c", script]
        with running(daemon, path, PASSIVBOT, bot, cwd=home, prefix=becoming(NOBODY), ready=False) as started:
            assert started.line()["binance-main"]["secret"] == READ_PAIR["secret"]
            assert started.line() == NOBODY
            assert started.process.stdout is not None
            capabilities = dict(started.process.stdout.readline().decode().split() for _ in range(5))
            allowed = 1 << 2 if becoming(NOBODY)[-1].endswith("search") else 0  # what `becoming` itself needs
            assert int(capabilities["CapEff:"], 16) & ~allowed == 0  # the right to mount did not stay
            (child,) = children(started.process.pid)
            pidfd = os.pidfd_open(child)
            started.process.kill()
            assert ends_within(pidfd, 10)
            os.close(pidfd)
        assert (home / "api-keys.json").read_text() == "{}"
