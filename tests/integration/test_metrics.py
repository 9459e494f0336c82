"""What vaultd measures is text that Prometheus reads, is true, and names nobody."""

import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import PASSPHRASE, READ_PAIR, WRITE_PAIR, Daemon
from tests.support.processes import until
from tests.support.vaultctl import document, vaultctl
from vaultd.limits import CONNECTIONS_PER_UID, LATENCY_BUCKETS
from vaultd.server.metrics import counter
from vaultd_client.errors import VaultClientError
from vaultd_client.metrics import read

Values = dict[tuple[str, ...], float]


def scraped(daemon: Daemon) -> Values:
    """Returns name and values of the labels to the value."""
    return parsed(read(daemon.runtime / "metrics.sock"))


def parsed(text: str) -> Values:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert [family.name for family in families if not family.documentation or family.type == "unknown"] == []
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def test_state_and_build_are_told_in_every_state(daemon: Daemon) -> None:
    daemon.start()
    states = [scraped(daemon)]
    daemon.initialize()
    states.append(scraped(daemon))
    daemon.lock()
    states.append(scraped(daemon))
    told = [{name[1] for name, value in each.items() if name[0] == "vaultd_state" and value} for each in states]
    assert told == [{"UNINITIALIZED"}, {"UNLOCKED"}, {"LOCKED"}]
    assert [each["vaultd_unlocked_timestamp_seconds",] > time.time() - 600 for each in states] == [False, True, False]
    assert all(each["vaultd_up",] == 1 for each in states)
    assert any(name[0] == "vaultd_build_info" and "0.1.0" in name for name in states[0])


def test_requests_are_counted_by_method_and_outcome_and_denials_apart(vault: Daemon) -> None:
    bot = vault.client(vault.add_bot())
    stranger = vault.client()
    before = scraped(vault)
    with bot, stranger:
        for _ in range(3):
            bot.reveal("binance-main", "read")
        bot.get("binance-main")
        with pytest.raises(VaultClientError):
            bot.reveal("binance-main", "write")
        with pytest.raises(VaultClientError):
            stranger.reveal("binance-main", "read")
    after = scraped(vault)
    gained = {name: int(value - before.get(name, 0)) for name, value in after.items() if value != before.get(name, 0)}
    reveal = "ExchangeService/RevealCredential"
    assert gained["vaultd_requests_total", reveal, "OK"] == 3
    assert gained["vaultd_requests_total", reveal, "PERMISSION_DENIED"] == 1
    assert gained["vaultd_requests_total", reveal, "REQUEST_REFUSED"] == 1
    assert gained["vaultd_requests_total", "ExchangeService/GetExchange", "OK"] == 1
    assert gained["vaultd_denials_total", "PERMISSION_DENIED"] == 1
    assert gained["vaultd_denials_total", "REQUEST_REFUSED"] == 1
    assert after["vaultd_denials_total", "RATE_LIMITED"] == 0  # there before the first, so that an alert can see it rise
    assert gained["vaultd_request_duration_seconds_count", reveal] == 5


def test_the_histogram_is_cumulative_and_its_sum_is_the_time_that_was_waited(vault: Daemon) -> None:
    with vault.admin() as admin:
        began = time.monotonic()
        for _ in range(10):
            admin.vault()
        waited = time.monotonic() - began
    found = scraped(vault)
    method = "VaultService/GetVault"
    bounds = [*(str(bound) for bound in LATENCY_BUCKETS), "+Inf"]
    buckets = [found["vaultd_request_duration_seconds_bucket", method, bound] for bound in bounds]
    assert buckets == sorted(buckets)
    count = found["vaultd_request_duration_seconds_count", method]
    assert buckets[-1] == count >= 10
    assert 0 < found["vaultd_request_duration_seconds_sum", method] < waited + count  # the self-test's call is in it


def test_sizes_grow_with_what_is_stored(vault: Daemon) -> None:
    before = scraped(vault)
    with vault.admin() as admin:
        for name, hidden in (("second", False), ("unseen", True)):
            pair = {"api_key": f"key-of-{name}-0001", "secret": "secret-of-its-own"}
            admin.create_exchange(name, "binance", {"read": pair}, hidden=hidden)
    vault.add_bot()
    after = scraped(vault)
    grown = {name: after[name,] - before[name,] for name in ("vaultd_exchanges", "vaultd_clients", "vaultd_audit_entries")}
    assert grown["vaultd_exchanges"] == 1  # the hidden one is left out
    assert grown["vaultd_clients"] == 1
    with vault.admin() as admin:
        assert after["vaultd_audit_entries",] == admin.audit(limit=1)[0].sequence
    assert after["vaultd_store_bytes",] >= vault.database.stat().st_size  # what is in the write-ahead log comes on top
    assert after["vaultd_store_readable",] == 1
    assert after["process_open_fds",] > 5
    assert after["process_resident_memory_bytes",] > 1 << 24


def test_connections_are_counted_and_those_that_were_dropped_by_why(daemon: Daemon) -> None:
    daemon.start()
    before = scraped(daemon)
    assert [before["vaultd_dropped_connections_total", why] for why in ("refused", "silent", "unreached")] == [0, 0, 0]
    with ExitStack() as closing:
        for _ in range(CONNECTIONS_PER_UID + 3):
            sock = closing.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(str(daemon.runtime / "vaultd.sock"))
        until(lambda: scraped(daemon)["vaultd_dropped_connections_total", "refused"] == 3)
        held = scraped(daemon)
        silent = held["vaultd_dropped_connections_total", "silent"]  # 0, unless we are slow
        assert held["vaultd_connections",] + silent == CONNECTIONS_PER_UID < held["vaultd_connections_max",]
        until(lambda: scraped(daemon)["vaultd_dropped_connections_total", "silent"] == CONNECTIONS_PER_UID, 20)
        assert scraped(daemon)["vaultd_connections",] == 0


def test_nothing_in_them_names_an_exchange_a_client_or_a_secret(vault: Daemon) -> None:
    vault.add_bot("canary-bot")
    with vault.client(vault.stranger()) as stranger, pytest.raises(VaultClientError):
        stranger.reveal("binance-main", "read")
    text = read(vault.runtime / "metrics.sock")
    assert "RevealCredential" in text
    words = ("binance", "canary-bot", "admin", *READ_PAIR.values(), *WRITE_PAIR.values(), PASSPHRASE.decode())
    assert [word for word in words if word in text] == []


def add_ending(daemon: Daemon, name: str, days: float, **options: object) -> None:
    """Adds an exchange whose read key ends in so many days."""
    with daemon.admin() as admin:
        pair = {"api_key": f"key-of-{name}-0001", "secret": "c2VjcmV0LWNhbmFyeS1rcmFrZW4="}
        ends = {"read": datetime.now(UTC) + timedelta(days=days)}
        admin.create_exchange(name, "kraken", {"read": pair}, expires_at=ends, **options)  # type: ignore[arg-type]


def test_the_days_to_the_earliest_end_of_a_key_follow_every_change_and_name_nobody(daemon: Daemon) -> None:
    daemon.start()
    daemon.initialize()
    assert ("vaultd_earliest_key_expiry_days",) not in scraped(daemon)  # nobody knows of any
    for name, days, earliest in (("late", 40, 40), ("soon", 3, 3), ("later", 50, 3), ("over", -2, -2)):
        add_ending(daemon, name, days)
        assert scraped(daemon)["vaultd_earliest_key_expiry_days",] == pytest.approx(earliest, abs=0.1)
    with daemon.admin() as admin:
        admin.revoke_exchange("over")
        assert scraped(daemon)["vaultd_earliest_key_expiry_days",] == pytest.approx(3, abs=0.1)
        admin.delete_exchange("soon")
    found = scraped(daemon)
    assert found["vaultd_earliest_key_expiry_days",] == pytest.approx(40, abs=0.1)
    assert not [name for name in found if "late" in name]


def test_the_age_of_the_last_backup_is_told_also_after_a_restart(vault: Daemon) -> None:
    before = scraped(vault)
    assert before["vaultd_last_backup_timestamp_seconds",] == 0
    assert ("vaultd_backup_age_seconds",) not in before
    began = time.time()
    assert vaultctl(vault, "backup", str(vault.home / "backup")).returncode == 0
    for _ in range(2):
        after = scraped(vault)
        assert began - 1 <= after["vaultd_last_backup_timestamp_seconds",] <= time.time() + 1
        assert 0 <= after["vaultd_backup_age_seconds",] + 1 <= time.time() - began + 3
        vault.stop()
        vault.start()


def test_names_are_told_where_the_settings_ask_for_them_but_for_hidden_ones(daemon: Daemon) -> None:
    settings = daemon.home / "config/vaultd/vaultd.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("metrics_names = true\n")
    daemon.start()
    daemon.initialize()
    add_ending(daemon, "seen", 5)
    add_ending(daemon, "unseen", 4, hidden=True)
    found = scraped(daemon)
    assert found["vaultd_key_expiry_days", "seen", "read"] == pytest.approx(5, abs=0.1)
    assert found["vaultd_earliest_key_expiry_days",] == pytest.approx(4, abs=0.1)
    assert not [name for name in found if "unseen" in name]


def test_a_label_with_quotes_and_lines_is_read_back_as_it_was() -> None:
    odd = 'a "b"\\c\nd'
    lines = "\n".join(counter("odd", "Odd.", [({"x": odd}, 1)])) + "\n"
    assert parsed(lines)["odd_total", odd] == 1


# --- the socket -------------------------------------------------------------------------------------------------------


def ask(daemon: Daemon, request: bytes, *, close: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(daemon.runtime / "metrics.sock"))
        connection.sendall(request)
        if close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def test_the_socket_is_its_owners_alone(shared: Daemon) -> None:
    assert stat.S_IMODE((shared.runtime / "metrics.sock").stat().st_mode) == 0o600


def test_curl_reads_it(shared: Daemon) -> None:
    command = ["curl", "--silent", "--fail", "--unix-socket", str(shared.runtime / "metrics.sock"), "http://localhost/metrics"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert parsed(done.stdout)["vaultd_up",] == 1


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics?x=1 HTTP/1.1", b"200"),
        (b"HEAD / HTTP/1.0", b"200"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"GET /secrets HTTP/1.1", b"404"),
        (b"GET /metrics HTTP/2", b"400"),
        (b"\xff\xfe \x00", b"400"),
    ],
)
def test_what_is_asked_otherwise_gets_a_status(shared: Daemon, request_line: bytes, status: bytes) -> None:
    answer = ask(shared, request_line + b"\r\nHost: x\r\n\r\n")
    assert answer.split(b" ")[1] == status
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (body == b"") == request_line.startswith(b"HEAD")
    assert f"Content-Length: {len(body)}".encode() in head or not body


@pytest.mark.parametrize("junk", [b"", b"GET /metrics HTTP/1.1\r\n", b"x" * 20_000])
def test_half_a_request_and_a_huge_one_get_nothing_and_harm_nothing(shared: Daemon, junk: bytes) -> None:
    try:
        assert ask(shared, junk, close=True) == b""
    except (BrokenPipeError, ConnectionResetError):
        pass  # it had enough of us before we had sent it all
    assert scraped(shared)["vaultd_up",] == 1


def test_silent_connections_end_by_themselves_and_free_their_places(shared: Daemon) -> None:
    held = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for each in held:
        each.connect(str(shared.runtime / "metrics.sock"))
    until(lambda: refused(shared), 5)
    began = time.monotonic()
    until(lambda: not refused(shared), 30)
    assert time.monotonic() - began < 15
    for each in held:
        each.close()


def refused(daemon: Daemon) -> bool:
    try:
        read(daemon.runtime / "metrics.sock")
    except VaultClientError:
        return True
    return False


# --- vaultctl metrics -------------------------------------------------------------------------------------------------


def test_vaultctl_prints_them_and_writes_a_textfile_that_others_can_read(vault: Daemon, tmp_path: Path) -> None:
    assert parsed(vaultctl(vault, "metrics").stdout)["vaultd_up",] == 1
    path = tmp_path / "vaultd.prom"
    assert document(vault, "metrics", "--textfile", str(path)) == {"textfile": str(path)}
    assert parsed(path.read_text())["vaultd_state", "UNLOCKED"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == [path.name]


def test_a_textfile_of_a_vault_that_is_down_says_so(vault: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "vaultd.prom"
    vaultctl(vault, "metrics", "--textfile", str(path))
    vault.stop()
    done = vaultctl(vault, "metrics", "--textfile", str(path))
    assert done.returncode == 3
    assert parsed(path.read_text()) == {("vaultd_up",): 0.0}


def test_a_textfile_that_cannot_be_written_leaves_the_old_one(vault: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "there" / "vaultd.prom"
    done = vaultctl(vault, "metrics", "--textfile", str(path))
    assert (done.returncode, "no such file or directory" in done.stderr) == (7, True)
    (tmp_path / "vaultd.prom").mkdir()
    assert vaultctl(vault, "metrics", "--textfile", str(tmp_path / "vaultd.prom")).returncode == 7
    assert os.listdir(tmp_path) == ["vaultd.prom"]


@pytest.fixture
def impostor(daemon: Daemon) -> Callable[[bytes], None]:
    def listen(answer: bytes) -> None:
        daemon.runtime.mkdir()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(daemon.runtime / "metrics.sock"))
        listener.listen()
        if os.fork() == 0:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer)
            os._exit(0)
        listener.close()

    return listen


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.0 500 No\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n\xff"])
def test_what_answers_otherwise_than_vaultd_is_an_error_with_words(
    daemon: Daemon, impostor: Callable[[bytes], None], answer: bytes
) -> None:
    impostor(answer)
    done = vaultctl(daemon, "metrics")
    assert done.returncode in (1, 3)
    assert done.stderr.startswith("vaultctl: ")
    assert "internal error" not in done.stderr
