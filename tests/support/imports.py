"""What the tests of `vaultctl import` share: the files, the command, and how a vault is again as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.vaultctl import vaultctl

DATA = Path(__file__).parents[1] / "data" / "imports"
HUMMINGBOT = b"hummingbot password canary"
"""PASSWORD of tests/data/imports/make_encrypted.py."""
PAIR = {"api_key": "import-key-canary-0123456789", "secret": "import-secret-canary-0123456789"}


def restore(vault: Daemon) -> None:
    """Takes away what a test has left: exchanges, records, a lock."""
    shutil.rmtree(vault.home / ".local", ignore_errors=True)
    with vault.admin() as admin:
        if admin.vault().state == "LOCKED":
            vault.unlock()
        for each in admin.list(everything=True):
            if each.name != "binance-main":
                admin.delete_exchange(each.id)


def own(tmp_path: Path, name: str, content: object = None) -> Path:
    """Returns a copy of a data file that this test may lose, or a file with the content."""
    path = tmp_path / name
    if content is None:
        (shutil.copytree if (DATA / name).is_dir() else shutil.copy)(DATA / name, path)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    if path.is_file():
        path.chmod(0o600)
    return path


def flat(name: str = "", **more: Any) -> dict[str, Any]:
    """Returns an exchange as 3Commas takes it."""
    return {"type": "binance", "name": name, **PAIR, **more}


def numbered(number: int) -> dict[str, Any]:
    """Returns an exchange that no other number has."""
    return flat(f"n{number}", api_key=f"key-canary-{number:020}")


def imported(vault: Daemon, path: Path, *options: str, code: int = 0, **more: Any) -> Any:
    """Imports without a question and returns the document."""
    done = vaultctl(vault, "import", str(path), "--yes", *options, "--json", **more)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def statuses(found: Any) -> dict[str, str]:
    """Returns place to status of an import's entries."""
    return {each["where"]: each["status"] for each in found["entries"]}


def fields(vault: Daemon, name: str, half: str = "write") -> dict[str, str]:
    """Returns what the vault has of one half, in plaintext."""
    with vault.admin() as admin:
        revealed = admin.reveal(name, half)
        return {**revealed.fields, **revealed.extra}


def exchanges(vault: Daemon) -> list[str]:
    """Returns the names of all exchanges."""
    with vault.admin() as admin:
        return sorted(each.name for each in admin.list(everything=True))


def records(vault: Daemon) -> list[Path]:
    """Returns the files that imports have left."""
    return sorted((vault.home / ".local/state/vaultd/imports").glob("*"))
