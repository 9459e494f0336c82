"""`vaultctl run`: the bot gets its keys and nobody else does, it is ended as if it had been started alone, and nothing
is left behind whatever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bots import CCXT, ENV, PASSIVBOT, SECRETS, command, running
from tests.support.daemon import READ_PAIR, Daemon
from tests.support.memory import scan_files
from tests.support.person import at_a_terminal
from tests.support.processes import until
from tests.support.vaultctl import MODULE, environment, vaultctl

pytestmark = pytest.mark.usefixtures("no_bot_outlives_its_test")


# --- what the bot gets ------------------------------------------------------------------------------------------------


def test_the_bot_reads_its_keys_as_often_as_it_likes(shared: Daemon, bot_key: Path) -> None:
    with running(shared, bot_key, CCXT, command("end", "{feed}")) as bot:
        (fed,) = bot.told["fed"].values()
        assert json.loads(fed) == {"apiKey": READ_PAIR["api_key"], "secret": READ_PAIR["secret"]}
        assert bot.told["same"]
        assert bot.end() == 0


def test_the_memory_file_cannot_be_changed(shared: Daemon, bot_key: Path) -> None:
    script = "import os, sys\ntry: os.write(os.open(sys.argv[1], os.O_RDWR), b'x')\nexcept OSError as e: print(e.errno)"
    done = vaultctl(shared, "run", *CCXT, "--", sys.executable, "-c", script, "{{feed}}", key=bot_key)
    assert done.stdout in {"1\n", "13\n"}  # EPERM: sealed; EACCES: 0400


def test_the_bot_is_a_client_of_its_own_in_the_audit(shared: Daemon, bot_key: Path) -> None:
    with running(shared, bot_key, CCXT, command("end", "{feed}")) as bot:
        bot.end()
    with shared.admin() as admin:
        (entry,) = admin.audit(limit=1, client="run-bot")
    assert (entry.method, entry.decision, entry.configuration) == ("RevealCredential", "allow", "read")


def test_several_exchanges_are_fed_at_once(vault: Daemon, tmp_path: Path) -> None:
    second = {"api_key": "second-key-0123456789abcdef", "secret": "second-secret"}
    with vault.admin() as admin:
        admin.create_exchange("second", "binance", {"write": second})
    vault.add_bot("two").save(tmp_path / "two.key")
    with vault.admin() as admin:
        admin.create_grant("two", "second", "write")
    options = ("--for", "ccxt", "--exchange", "binance-main", "--exchange", "second:write")
    with running(vault, tmp_path / "two.key", options, command("end", "{feed}")) as bot:
        (fed,) = bot.told["fed"].values()
    assert {name: each["secret"] for name, each in json.loads(fed).items()} == {
        "binance-main": READ_PAIR["secret"],
        "second": "second-secret",
    }


def test_stdin_is_the_feed_and_ends(shared: Daemon, bot_key: Path) -> None:
    options = ("--for", "hummingbot-connect", "--exchange", "binance-main")
    refused = vaultctl(shared, "run", *options, "--", "true", key=bot_key)
    assert (refused.returncode, "no connector" in refused.stderr) == (7, True)
    script = "import sys, json; print(json.dumps([sys.stdin.read(), sys.argv[1:]]))"
    done = vaultctl(shared, "run", *options, "--", sys.executable, "-c", script, "connect", "binance", key=bot_key)
    fed, arguments = json.loads(done.stdout)
    assert json.loads(fed) == {"binance_api_key": READ_PAIR["api_key"], "binance_api_secret": READ_PAIR["secret"]}
    assert arguments == ["connect", "binance", "--keys-stdin"]


def test_a_file_at_a_fixed_path_is_seen_by_the_bot_alone(shared: Daemon, bot_key: Path, bot_home: Path) -> None:
    before = (bot_home / "api-keys.json").read_text()
    with running(shared, bot_key, PASSIVBOT, command("wait", "api-keys.json"), cwd=bot_home) as bot:
        fed = json.loads(bot.told["fed"]["api-keys.json"])
        assert fed["binance-main"] == {
            "exchange": "binance",
            "key": READ_PAIR["api_key"],
            "secret": READ_PAIR["secret"],
        }
        assert fed["other"] == {"exchange": "bybit"}
        assert (bot_home / "api-keys.json").read_text() == before
        assert str(bot_home) not in Path("/proc/self/mounts").read_text()
        inside = Path(f"/proc/{bot.told['pid']}/mounts").read_text()
        assert f"{bot_home}/api-keys.json" in inside  # the control: the mount is there, for the bot
        assert scan_files(bot_home, SECRETS) == []


def test_the_environment_takes_a_flag(shared: Daemon, bot_key: Path) -> None:
    done = vaultctl(shared, "run", *ENV[:-1], "--", "env", key=bot_key)
    assert done.returncode == 2
    assert "allow it: --allow-env" in done.stderr
    allowed = vaultctl(shared, "run", *ENV, "--", "env", key=bot_key)
    assert f"BINANCE_MAIN_API_KEY={READ_PAIR['api_key']}" in allowed.stdout
    assert f"BINANCE_MAIN_SECRET={READ_PAIR['secret']}" in allowed.stdout


def test_a_variable_that_holds_a_reference_gets_its_value(shared: Daemon, bot_key: Path) -> None:
    more = {"API_KEY": "vaultd://binance-main/read/api_key", "OTHER": "as it was"}
    script = "import os, json; print(json.dumps([os.environ['API_KEY'], os.environ['OTHER']]), flush=True)"
    options = ("--for", "env", "--allow-env")
    with running(shared, bot_key, options, [sys.executable, "-c", script], more=more, ready=False) as bot:
        assert bot.line() == [READ_PAIR["api_key"], "as it was"]
    with running(shared, bot_key, options[:-1], [sys.executable, "-c", script], more=more, ready=False) as bot:
        assert bot.end() == 2


def test_a_template_is_rendered_for_the_bot(shared: Daemon, bot_key: Path, tmp_path: Path) -> None:
    template = tmp_path / "own.json.tmpl"
    template.write_text('{"keys": ["vaultd://binance-main/read/api_key", {{ vaultd://binance-main/read/secret }}]}')
    options = ("--for", "template", "--template", str(template))
    with running(shared, bot_key, options, command("end", "{feed}")) as bot:
        (fed,) = bot.told["fed"].values()
    assert json.loads(fed) == {"keys": [READ_PAIR["api_key"], READ_PAIR["secret"]]}


# --- as if it had been started alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--exec",)], ids=["supervised", "exec"])
def test_the_exit_code_is_the_bots(shared: Daemon, bot_key: Path, more: tuple[str, ...]) -> None:
    for code in (0, 1, 42, 255):
        done = vaultctl(shared, "run", *CCXT, *more, "--", "sh", "-c", f"exit {code} # {{{{feed}}}}", key=bot_key)
        assert done.returncode == code


@pytest.mark.parametrize("more", [(), ("--exec",)], ids=["supervised", "exec"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_bot_that_a_signal_ends_ends_vaultctl_so(
    shared: Daemon, bot_key: Path, number: signal.Signals, more: tuple[str, ...]
) -> None:
    bot = command("wait", "{feed}")
    bot[3] = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n" + bot[3]  # Python's own would raise
    with running(shared, bot_key, (*CCXT, *more), bot) as started:
        started.process.send_signal(number)
        assert started.end() == -number  # a shell says 128 + number
        assert not Path(f"/proc/{started.told['pid']}").exists()


def test_a_shell_sees_128_and_the_number(shared: Daemon, bot_key: Path) -> None:
    line = f"{sys.executable} -m vaultd_client.cli run --for ccxt --exchange binance-main -- sh -c 'kill -TERM $$; : {{feed}}'"
    done = subprocess.run(
        ["sh", "-c", f"{line}; echo $?"], env=environment(shared, bot_key), capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("143\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
def test_a_signal_reaches_the_bot_once(shared: Daemon, bot_key: Path, number: signal.Signals) -> None:
    hears = [number.name.removeprefix("SIG"), "USR2"]
    with running(shared, bot_key, CCXT, command("wait", "{feed}", hears=hears)) as bot:
        bot.process.send_signal(number)
        assert bot.line() == {"heard": number.name}
        bot.process.send_signal(signal.SIGUSR2)
        assert bot.line() == {"heard": "SIGUSR2"}  # and not the first once more


def state(pid: int) -> str:
    """Returns the letter of a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_terminals_stop_and_interrupt_reach_the_bot_once(shared: Daemon, bot_key: Path) -> None:
    bot = command("wait", "{feed}", hears=["INT", "CONT"])
    with at_a_terminal([*MODULE, "run", *CCXT, "--", *bot], environment(shared, bot_key)) as person:
        person.expect('"status"')
        told = json.loads(person.shown[person.shown.index('{"pid"') :].partition("\n{")[0].splitlines()[0])
        person.type("\x03", end="")
        person.expect('{"heard": "SIGINT"}')
        # Its process group is an orphan here, in which a terminal's stop is ignored: the bot is stopped as it would be.
        os.kill(told["pid"], signal.SIGSTOP)
        until(lambda: state(told["pid"]) == state(told["parent"]) == "T")  # a shell sees a stopped job
        os.kill(told["parent"], signal.SIGCONT)
        person.expect('{"heard": "SIGCONT"}')
        person.type("\x03", end="")
        person.expect('{"heard": "SIGINT"}')
        assert person.shown.count('"SIGINT"') == 2
        os.kill(told["pid"], signal.SIGKILL)
        assert person.leave() == -signal.SIGKILL


def test_a_service_that_is_stopped_does_not_stop_its_parent(shared: Daemon, bot_key: Path) -> None:
    with running(shared, bot_key, CCXT, command("wait", "{feed}", hears=["CONT", "USR1"])) as bot:
        os.kill(bot.told["pid"], signal.SIGSTOP)
        until(lambda: state(bot.told["pid"]) == "T")
        bot.process.send_signal(signal.SIGUSR1)
        until(lambda: state(bot.process.pid) == "S")  # it has taken both, and waits for more
        bot.process.send_signal(signal.SIGCONT)
        assert bot.line() == {"heard": "SIGUSR1"}
        assert bot.line() == {"heard": "SIGCONT"}


def test_under_nohup_the_bot_is_under_nohup(shared: Daemon, bot_key: Path) -> None:
    with running(shared, bot_key, CCXT, command("wait", "{feed}"), prefix=["nohup"]) as bot:
        assert bot.told["ignored"] == ["SIGHUP"]
    with running(shared, bot_key, CCXT, command("wait", "{feed}")) as bot:
        assert bot.told["ignored"] == []
        assert bot.told["mask"] == []


def test_the_bot_dies_of_a_closed_pipe_as_usual(shared: Daemon, bot_key: Path) -> None:
    line = "grep SigIgn /proc/self/status; : {{feed}}"
    ignored = int(vaultctl(shared, "run", *CCXT, "--", "sh", "-c", line, key=bot_key).stdout.split()[1], 16)
    assert ignored & 1 << (signal.SIGPIPE - 1) == 0


def test_the_bot_inherits_the_descriptors_of_its_starter_and_the_feed(shared: Daemon, bot_key: Path) -> None:
    reading, writing = os.pipe()
    try:
        with running(shared, bot_key, CCXT, command("end", "{feed}"), pass_fds=[reading]) as bot:
            (path,) = bot.told["fed"]
            assert bot.told["fds"] == sorted({0, 1, 2, reading, int(path.removeprefix("/dev/fd/"))})
        with running(shared, bot_key, ENV, command("end"), pass_fds=[reading]) as bot:
            assert bot.told["fds"] == [0, 1, 2, reading]
    finally:
        os.close(reading)
        os.close(writing)


def test_a_bot_that_dies_at_once_is_told_of(shared: Daemon, bot_key: Path) -> None:
    done = vaultctl(shared, "run", *CCXT, "--", "sh", "-c", "echo its own words >&2; exit 3; : {{feed}}", key=bot_key)
    assert done.returncode == 3
    assert done.stderr.startswith("its own words\nvaultctl: sh ended with exit code 3 after 0.")
    killed = vaultctl(shared, "run", *CCXT, "--", "sh", "-c", "kill -SEGV $$; : {{feed}}", key=bot_key)
    assert killed.returncode == -signal.SIGSEGV
    assert "sh was ended by SIGSEGV" in killed.stderr
    assert vaultctl(shared, "run", *CCXT, "--", "sh", "-c", ": {{feed}}", key=bot_key).stderr == ""


def test_a_bot_that_was_told_to_end_is_not_told_of(shared: Daemon, bot_key: Path) -> None:
    bot = ["sh", "-c", "trap 'exit 5' TERM; echo '{\"pid\": 0}'; while :; do sleep 0.05; done; : {feed}"]
    with running(shared, bot_key, CCXT, bot, ready=False) as started:
        started.line()
        started.process.terminate()
        assert started.end() == 5
        assert started.error() == ""


def test_a_closed_stdin_is_no_obstacle(shared: Daemon, bot_key: Path) -> None:
    program = f"{sys.executable} -m vaultd_client.cli run --for ccxt --exchange binance-main"
    done = subprocess.run(
        ["sh", "-c", f"{program} -- cat '{{feed}}' <&-"], env=environment(shared, bot_key), capture_output=True, check=True
    )
    assert json.loads(done.stdout)["secret"] == READ_PAIR["secret"]


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("--for", "nosuchbot", "--exchange", "binance-main", "--", "true"),
            2,
            ("no bot is called", "one of freqtrade"),
        ),
        (("--for", "freqtrade", "--", "true"), 2, ("whose keys", "vaultctl exchange list")),
        (("--for", "ccxt", "--exchange", "binance-main", "--", "true"), 7, ("{feed} is missing", "vaultctl run")),
        (
            ("--for", "ccxt", "--exchange", "nosuch", "--", "true", "{feed}"),
            6,
            ("nosuch:read", "vaultctl exchange list"),
        ),
        (("--for", "ccxt", "--exchange", "binance-main:write", "--", "true", "{feed}"), 6, ("--configuration write",)),
        (("--for", "ccxt", "--exchange", "binance-main", "--", "/no/such", "{feed}"), 127, ("is not there", "PATH")),
        (("--for", "ccxt", "--exchange", "binance-main", "--", "/etc/passwd", "{feed}"), 126, ("no program",)),
        (("--for", "template", "--", "true"), 2, ("--template",)),
        (("--for", "ccxt", "--exchange", "binance-main"), 2, ("COMMAND",)),
        (
            ("--for", "freqtrade", "--exchange", "binance-main", "--", "true", "-c", "-"),
            7,
            ("ignores every other file",),
        ),
        (("--for", "octobot", "--exchange", "binance-main", "--", "true"), 7, ("config.json is not in", "once")),
    ],
)
def test_what_cannot_be_is_said_with_what_to_type(
    shared: Daemon, bot_key: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    escaped = [each.replace("{", "{{").replace("}", "}}") for each in arguments]
    done = vaultctl(shared, "run", *escaped, key=bot_key)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "hint: " in done.stderr


def test_a_locked_vault_says_how_to_unlock_it(vault: Daemon, tmp_path: Path) -> None:
    vault.add_bot().save(tmp_path / "bot.key")
    vault.lock()
    done = vaultctl(vault, "run", *CCXT, "--", "true", "{{feed}}", key=tmp_path / "bot.key")
    assert done.returncode == 4
    assert "hint: vaultctl unlock" in done.stderr


def test_a_bot_without_a_key_of_its_own_is_told_how_to_make_one(shared: Daemon) -> None:
    env = {name: value for name, value in environment(shared).items() if name != "VAULTD_KEY"}
    bot = [sys.executable, *MODULE, "run", *CCXT, "--", "true", "{feed}"]
    done = subprocess.run(bot, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "ccxt has no key of its own" in done.stderr
    assert "vaultctl client keygen" in done.stderr


def test_where_mounts_are_forbidden_it_says_so_before_anything_is_revealed(
    shared: Daemon, bot_key: Path, bot_home: Path
) -> None:
    forbidden = shutil.which("setpriv")
    if forbidden is None or os.geteuid() != 0:
        pytest.skip("taking the right to mount away takes root and setpriv")
    with shared.admin() as admin:
        before = admin.audit(limit=1)[0].sequence
    prefix = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    with running(shared, bot_key, PASSIVBOT, command("wait", "api-keys.json"), cwd=bot_home, prefix=prefix, ready=False) as bot:
        assert bot.end() == 6
        assert "may have no mounts of its own" in bot.error()
    with shared.admin() as admin:
        assert "RevealCredential" not in {each.method for each in admin.audit(limit=20) if each.sequence > before}
