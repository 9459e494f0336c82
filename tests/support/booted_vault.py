"""A booted host that has a vault and bots, and the programs that play bots and impostors on it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.booted import PASSPHRASE, PREFIX, Booted, booted
from tests.support.processes import until

KEYS = {"api_key": "READ-key-abcdefgh-0001", "secret": "READ-secret-canary-77f1c2"}
REVEAL = ("vaultctl", "--json", "reveal", "main", "--configuration=read")
KEY = {"VAULTD_KEY": "/var/lib/bots/bot.key"}
BOT_UNIT = f"""
[Service]
Type=oneshot
User=botuser
Environment=PATH={PREFIX}/bin:/usr/bin:/bin HOME=/tmp VAULTD_KEY=/var/lib/bots/bot.key
ExecStart={PREFIX}/bin/vaultctl --json reveal main --configuration=read
StandardOutput=truncate:/run/%N.out
StandardError=truncate:/run/%N.err
"""
HELD = """
import os, pathlib, select, socket
from vaultd_client import VaultClient
from vaultd_client.errors import VaultClientError

# A relay between the client and the vault: the parent makes the connection, the child goes on with it alone.
out = pathlib.Path("/run/held")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/held/relay.sock")
listener.listen()
upstream = socket.socket(socket.AF_UNIX)
upstream.connect("/run/vaultd/vaultd.sock")
parent = os.getpid()
if os.fork():
    # Until the child was served once, as long as we live.
    while not (out / "first").exists():
        select.select([], [], [], 0.05)
    os._exit(0)
handle = os.pidfd_open(parent)
if os.fork() == 0:
    inner, _ = listener.accept()
    while True:
        for one in select.select([inner, upstream], [], [])[0]:
            data = one.recv(65536)
            if not data:
                os._exit(0)
            (upstream if one is inner else inner).sendall(data)
with VaultClient("/run/held/relay.sock") as vault:
    vault.reveal("main", "read")
    (out / "new").write_text("served")
    os.rename(out / "new", out / "first")
    select.select([handle], [], [])
    try:
        vault.reveal("main", "read")
        said = "served"
    except VaultClientError as error:
        said = error.reason
    (out / "new").write_text(said)
    os.rename(out / "new", out / "second")
"""
"""A bot that hands its open connection to a child and ends: /run/held/first and second say what came of a reveal."""
IMPOSTOR = """
import os, pwd, socket
heard = open("/run/heard", "wb", buffering=0)
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/vaultd/fresh.sock")
os.setresuid(*[pwd.getpwnam("vaultd").pw_uid] * 2, 0)
listener.listen()
os.setresuid(0, 0, 0)
os.chmod("/run/vaultd/fresh.sock", 0o666)
os.rename("/run/vaultd/fresh.sock", "/run/vaultd/unlock.sock")
while True:
    connection, _ = listener.accept()
    heard.write(connection.recv(65536))
"""
"""Listens where the keyholder should, as the user of the server, and keeps what it is told in /run/heard."""


@contextmanager
def settled(*, disk: bool = False) -> Iterator[Booted]:
    """Yields a booted host with vaultd installed, unlocked, one exchange, and a bot that must run in bot.service."""
    with booted(disk=disk) as made:
        made.run("vaultctl", "system", "install")
        made.run("vaultctl", "init", "--no-recovery", "--kdf-memory-mib=64", "--passphrase-fd=0", given=PASSPHRASE)
        made.run("vaultctl", "exchange", "add", "main", "--kind=binance", "--from-stdin", given=json.dumps(KEYS))
        made.run("useradd", "--system", "botuser")
        made.run("useradd", "--system", "otheruser")
        made.run("install", "-d", "--owner=botuser", "/var/lib/bots")
        made.run("vaultctl", "client", "keygen", user="botuser", environment=KEY)
        allow(made, "bot", "--unit=bot.service")
        for name in ("bot", "other"):
            made.write(f"/etc/systemd/system/{name}.service", BOT_UNIT)
        made.run("systemctl", "daemon-reload")
        yield made


def allow(host: Booted, name: str, *options: str) -> None:
    """Allows botuser's key, with a grant on the read half of main."""
    public = host.python(
        """
        from vaultd_client import ClientKey
        print(ClientKey.load("/var/lib/bots/bot.key").public_text)
        """,
        user="botuser",
    ).strip()
    host.run("vaultctl", "client", "allow", name, public, "--uid=botuser", *options)
    host.run("vaultctl", "client", "grant", name, "main", "--configuration=read")


def unlock(host: Booted) -> None:
    until(lambda: host.run("vaultctl", "unlock", "--passphrase-fd=0", given=PASSPHRASE, check=False).returncode == 0)


def unlocked(host: Booted) -> Booted:
    """Returns the host, unlocked whatever a test before has left."""
    if host.state() == "LOCKED":
        unlock(host)
    return host


def start(host: Booted, unit: str) -> dict[str, Any]:
    """Runs a bot's unit to its end; returns what its `vaultctl` printed."""
    host.run("systemctl", "start", f"{unit}.service", check=False)
    printed: dict[str, Any] = json.loads(host.run("cat", f"/run/{unit}.out").stdout)
    return printed


def main_pid(host: Booted, unit: str) -> int:
    return int(host.show(unit, "MainPID"))


def until_active(host: Booted, unit: str, *, but: int) -> None:
    """Waits until a unit serves under another pid."""
    until(lambda: host.show(unit, "ActiveState") == "active" and main_pid(host, unit) not in (0, but), 20)
