"""Promises of the unattended start, shown on a real systemd that this test boots again and again."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.booted import PASSPHRASE, PREFIX, Booted
from tests.support.booted_vault import KEYS, main_pid, settled, unlock, until_active
from tests.support.processes import until

CREDENTIAL = "/etc/credstore.encrypted/vaultd-machine-slot"
UNIT = "vaultd-unattended"
WAITING_BOT = f"""
[Unit]
Requires=vaultd-unlocked.target
After=vaultd-unlocked.target

[Service]
Type=oneshot
RemainAfterExit=yes
User=botuser
Environment=PATH={PREFIX}/bin:/usr/bin:/bin HOME=/tmp VAULTD_KEY=/var/lib/bots/bot.key
ExecStart={PREFIX}/bin/vaultctl --json reveal main --configuration=read
StandardOutput=truncate:/run/%N.out

[Install]
WantedBy=multi-user.target
"""
CLIENTLESS_BOT = """
[Unit]
StartLimitIntervalSec=0

[Service]
Type=oneshot
Restart=on-failure
RemainAfterExit=yes
User=botuser
LoadCredential=main.json:/run/vaultd/credentials.sock
ExecStart=cat %d/main.json
StandardOutput=truncate:/run/%N.out

[Install]
WantedBy=multi-user.target
"""
BOTS = ["waiting", "clientless"]
SPEED_SECONDS = 3.0
"""From the start of user space to an unlocked vault, to a bot that has its key, and to a unit that has its credential."""


@pytest.fixture(scope="module")
def host() -> Iterator[Booted]:
    """A booted host with a vault, a machine slot, and two bots that start at boot and wait for the unlock.

    waiting.service asks for its key itself, clientless.service has it fetched by systemd.
    """
    with settled(disk=True) as made:
        made.run("vaultctl", "client", "update", "bot", "--unit=waiting.service")
        made.write("/etc/systemd/system/waiting.service", WAITING_BOT)
        made.run("vaultctl", "unit", "grant", "clientless", "main")
        made.write("/etc/systemd/system/clientless.service", CLIENTLESS_BOT)
        made.run("systemctl", "enable", "waiting.service", "clientless.service")
        made.run("cp", "/tmp/.config/vaultd/client.key", "/root/client.key")
        add(made)
        yield made


def add(host: Booted) -> dict[str, Any]:
    """Adds the machine slot, in place of one that is there."""
    unlock(host)
    for slot in host.vaultctl("slot", "list")["slots"]:
        if slot["kind"] == "machine":
            host.vaultctl("slot", "remove", str(slot["slot"]), "--yes", "--passphrase-fd=0", given=PASSPHRASE)
    host.run("rm", "-f", CREDENTIAL)
    return dict(host.vaultctl("slot", "add", "--machine", "--passphrase-fd=0", given=PASSPHRASE))


def reboot(host: Booted) -> None:
    host.reboot()
    host.run("install", "-D", "--mode=0600", "/root/client.key", "/tmp/.config/vaultd/client.key")  # /tmp is gone


def settle(host: Booted) -> dict[str, Any]:
    """Waits until the unattended start has ended, one way or the other; returns what status says of it."""
    until(lambda: (host.vaultctl("status")["unattended"] or {}).get("result") in ("ok", "failed"), 40)
    return dict(host.vaultctl("status")["unattended"])


def served(host: Booted) -> list[str]:
    """Returns those of the two bots that have their key."""
    return [unit for unit in BOTS if host.show(unit, "ActiveState") == "active"]


def since_boot(host: Booted, unit: str, name: str) -> float:
    """Seconds from the start of user space to a change of a unit."""
    began = host.run("systemctl", "show", "--value", "--property=UserspaceTimestampMonotonic").stdout
    return (int(host.show(unit, f"{name}TimestampMonotonic")) - int(began)) / 1e6


@contextmanager
def first_in_line() -> Iterator[None]:
    """Has other work on this host stand back for what we start, where the kernel's cpu controller is to be had.

    We measure what a boot takes, not what else runs here.
    """
    top, group = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu/vaultd-test-first")
    if not (top / "cpu.shares").exists():
        yield
        return
    group.mkdir()
    (group / "cpu.shares").write_text("262144")
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (top / "cgroup.procs").write_text(str(os.getpid()))
        until(lambda: not (group / "cgroup.procs").read_text(), 20)
        group.rmdir()


def failed(host: Booted, words: str) -> None:
    """What must hold after a try that failed: told in status and journal, masks served, and a person gets in."""
    said = settle(host)
    assert said["result"] == "failed"
    assert words in said["detail"]
    assert "vaultctl unlock" in said["detail"]
    assert host.state() == "LOCKED"
    assert words in host.run("vaultctl", "status").stdout
    assert UNIT in host.run("journalctl", "--no-pager", "--boot", f"--unit={UNIT}", "--priority=warning").stdout
    assert host.vaultctl("exchange", "list")["exchanges"][0]["name"] == "main"
    assert not served(host)
    levels = {each["check"]: each for each in json.loads(host.run("vaultctl", "--json", "doctor", check=False).stdout)["findings"]}
    assert levels["unattended start"]["level"] == "warning"
    unlock(host)
    until(lambda: served(host) == BOTS, 30)  # the bots that waited through all of it


def test_the_slot_key_is_sealed_to_this_host_and_the_slot_is_not_the_only_one(host: Booted) -> None:
    made = add(host)
    assert made["sealed_to"] == "host"  # no TPM here
    kinds = [slot["kind"] for slot in host.vaultctl("slot", "list")["slots"]]
    assert sorted(kinds) == ["machine", "passphrase"]
    assert host.run("stat", "--format=%U %a", CREDENTIAL).stdout.split() == ["root", "600"]
    opened = host.run("systemd-creds", "decrypt", "--name=vaultd-machine-slot", "--transcode=hex", CREDENTIAL, "-").stdout.strip()
    assert len(opened) == 64
    assert host.run("systemd-creds", "decrypt", "--name=other", CREDENTIAL, "-", check=False).returncode != 0
    found = host.run("grep", "--recursive", "--files-with-matches", opened, "/etc", "/var/lib", "/run/vaultd", check=False)
    assert found.stdout == ""
    last_human = host.run("vaultctl", "--json", "slot", "remove", "1", "--yes", "--passphrase-fd=0", given=PASSPHRASE, check=False)
    assert json.loads(last_human.stdout)["error"] == "last_slot"


def test_a_reboot_ends_unlocked_and_serves_the_bot_without_a_person(host: Booted) -> None:
    add(host)
    reboot(host)
    assert settle(host)["result"] == "ok"
    until(lambda: served(host) == BOTS, 30)
    for unit in BOTS:
        assert json.loads(host.run("cat", f"/run/{unit}.out").stdout)["fields"]["secret"] == KEYS["secret"]
    entry = next(each for each in host.vaultctl("audit", "show")["entries"] if each["method"] == "unlock")
    assert "(machine)" in entry["detail"]


def test_from_boot_to_a_served_bot_and_credential_it_takes_3_seconds_or_less(host: Booted) -> None:
    add(host)
    units = {UNIT: "InactiveEnter", "waiting": "ActiveEnter", "clientless": "ActiveEnter"}
    taken = []
    with first_in_line():
        for _ in range(3):  # other work on this host can only make it slower
            reboot(host)
            until(lambda: served(host) == BOTS, 40)
            taken.append([since_boot(host, unit, name) for unit, name in units.items()])
            if max(taken[-1]) <= SPEED_SECONDS:
                break
        host.power.off()
    reboot(host)
    print("seconds from boot to unlocked, to a served bot, and to a served credential:", taken)
    assert min(max(each) for each in taken) <= SPEED_SECONDS, taken


def test_a_reboot_without_a_machine_slot_waits_for_a_person(host: Booted) -> None:
    host.run("systemctl", "disable", UNIT)
    reboot(host)
    assert host.vaultctl("status")["unattended"] is None
    assert (host.state(), served(host)) == ("LOCKED", [])
    unlock(host)
    until(lambda: served(host) == BOTS, 30)
    host.run("systemctl", "enable", UNIT)


def test_a_lock_is_not_undone_by_the_machine_slot(host: Booted) -> None:
    add(host)
    keyholder = main_pid(host, "vaultd-keyholder")
    host.run("vaultctl", "lock")
    until(lambda: main_pid(host, "vaultd-keyholder") not in (0, keyholder))
    time.sleep(1.5)  # one and a half restarts of the unit long, nothing must happen
    assert host.state() == "LOCKED"
    host.run("systemctl", "start", UNIT)  # but who asks for it gets it
    assert host.state() == "UNLOCKED"


def test_a_damaged_machine_slot_is_told_and_a_person_gets_in(host: Booted) -> None:
    add(host)
    host.run("sed", "-i", "1s/^.\\{60\\}/&AAAA/", CREDENTIAL)
    reboot(host)
    failed(host, "this host cannot open the credential of the machine slot")


def test_the_machine_slot_of_another_host_is_told_and_a_person_gets_in(host: Booted) -> None:
    add(host)
    host.run("rm", "/var/lib/systemd/credential.secret")
    host.run("systemd-creds", "setup")  # the key of another host
    reboot(host)
    failed(host, "this host cannot open the credential of the machine slot")


def test_the_machine_slot_of_another_vault_is_told_costs_one_guess_and_a_person_gets_in(host: Booted) -> None:
    add(host)
    command = f"head -c 32 /dev/urandom | systemd-creds encrypt --with-key=host --name=vaultd-machine-slot - {CREDENTIAL}"
    host.run("bash", "-c", command)
    reboot(host)
    settle(host)
    assert host.vaultctl("status")["unlock_socket"]["failures"] == 1
    failed(host, "the machine slot does not open this vault")


def test_a_machine_slot_that_was_removed_opens_nothing(host: Booted) -> None:
    number = add(host)["slot"]
    host.vaultctl("slot", "remove", str(number), "--yes", "--passphrase-fd=0", given=PASSPHRASE)
    reboot(host)
    failed(host, "the machine slot does not open this vault")


def test_a_try_that_hangs_is_given_up_at_its_deadline(host: Booted) -> None:
    add(host)
    locked = main_pid(host, "vaultd-keyholder")
    host.run("vaultctl", "lock")
    until_active(host, "vaultd-keyholder", but=locked)
    until(lambda: "serves vaultd" in host.show("vaultd-keyholder", "StatusText"), 20)
    host.write(f"/run/systemd/system/{UNIT}.service.d/deadline.conf", "[Service]\nTimeoutStartSec=2s\n")
    host.run("systemctl", "daemon-reload")
    pid = str(main_pid(host, "vaultd-keyholder"))
    host.run("kill", "-STOP", pid)
    try:
        began = time.monotonic()
        assert host.run("systemctl", "start", UNIT, check=False).returncode != 0
        assert 1.5 < time.monotonic() - began < 15
        status = host.vaultctl("status")
    finally:
        host.run("kill", "-CONT", pid)
    assert "it took too long" in status["unattended"]["detail"]
    assert "did not answer in time" in status["unlock_socket"]["detail"]
    unlock(host)
    host.run("rm", "-r", f"/run/systemd/system/{UNIT}.service.d")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "reset-failed", UNIT)


def test_a_bot_that_starts_while_locked_waits_for_the_person(host: Booted) -> None:
    unlock(host)
    host.run("systemctl", "stop", "waiting")
    host.run("vaultctl", "lock")
    host.run("systemctl", "start", "--no-block", "waiting")
    until(lambda: host.show("vaultd-unlocked.service", "ActiveState") == "activating", 20)
    assert host.show("waiting", "ActiveState") == "inactive"
    unlock(host)
    until(lambda: served(host) == BOTS, 20)


def test_systemd_asks_for_the_passphrase_and_the_answer_unlocks(host: Booted) -> None:
    unlock(host)
    host.run("vaultctl", "lock")
    host.run("systemctl", "start", "vaultd-ask")
    for answer in ("a wrong guess", PASSPHRASE):
        socket = question(host)
        host.run("/lib/systemd/systemd-reply-password", "1", socket, given=answer)
        until(partial(answered, host, socket), 30)
    until(lambda: host.state() == "UNLOCKED", 30)
    until(lambda: host.show("vaultd-ask", "ActiveState") == "inactive", 20)


def test_the_question_goes_away_when_somebody_unlocks_by_other_means(host: Booted) -> None:
    unlock(host)
    host.run("vaultctl", "lock")
    host.run("systemctl", "start", "vaultd-ask")
    question(host)
    unlock(host)
    until(lambda: host.show("vaultd-ask", "ActiveState") == "inactive", 20)
    assert host.run("bash", "-c", "ls /run/systemd/ask-password/ask.* 2>/dev/null", check=False).stdout == ""


def question(host: Booted) -> str:
    """Waits for systemd's question and returns the socket that its answer goes to."""
    until(lambda: bool(questions(host)), 30)
    return questions(host)[0]


def answered(host: Booted, socket: str) -> bool:
    return socket not in questions(host)


def questions(host: Booted) -> list[str]:
    """Returns the sockets that answers to systemd's questions go to."""
    look = "sed --quiet s/^Socket=//p /run/systemd/ask-password/ask.* 2>/dev/null"
    return host.run("bash", "-c", look, check=False).stdout.split()


def test_a_second_machine_slot_is_refused_and_none_without_root(host: Booted) -> None:
    add(host)
    again = host.run("vaultctl", "--json", "slot", "add", "--machine", "--passphrase-fd=0", given=PASSPHRASE, check=False)
    assert (again.returncode, json.loads(again.stdout)["error"]) == (9, "exists")
    other = host.run("vaultctl", "--json", "slot", "add", "--machine", "--passphrase-fd=0", user="botuser", check=False)
    assert (other.returncode, json.loads(other.stdout)["error"]) == (6, "needs_root")


def test_doctor_finds_nothing_wrong_for_root_and_skips_in_words_for_others(host: Booted) -> None:
    unlock(host)
    of_root = json.loads(host.run("vaultctl", "--json", "doctor", check=False).stdout)
    errors = [each for each in of_root["findings"] if each["level"] == "error"]
    assert [each["check"] for each in errors] == []
    of_bot = json.loads(host.run("vaultctl", "--json", "doctor", user="botuser", check=False).stdout)
    assert {each["check"] for each in of_bot["findings"] if each["level"] == "skipped"} >= {"key slots", "audit"}
    store = next(each for each in of_bot["findings"] if each["check"] == "store")
    assert "closed to this user" in store["reason"]
    assert [each for each in of_bot["findings"] if each["level"] == "error"] == []


def test_metrics_are_for_their_group_alone(host: Booted) -> None:
    assert "vaultd_up 1" in host.run("vaultctl", "metrics").stdout
    refused = host.run("vaultctl", "metrics", user="otheruser", check=False)
    assert refused.returncode == 6
    assert "vaultd-metrics" in refused.stderr
    host.run("usermod", "--append", "--groups=vaultd-metrics", "otheruser")
    assert "vaultd_up 1" in host.run("vaultctl", "metrics", user="otheruser").stdout


def test_purge_leaves_nothing_of_it(host: Booted) -> None:
    add(host)
    host.run("vaultctl", "system", "uninstall", "--purge", "--yes")
    left = host.run("bash", "-c", f"ls -d {CREDENTIAL} /etc/systemd/system/*vaultd* /etc/systemd/system/*.wants/vaultd* 2>/dev/null", check=False)
    assert left.stdout == ""
    assert host.run("getent", "group", "vaultd-metrics", check=False).returncode != 0
