"""An import is never half, can be repeated and undone; its source is shredded only when nothing of it would be lost."""

import json
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.imports import (
    DATA,
    PAIR,
    exchanges,
    fields,
    flat,
    imported,
    numbered,
    opened_vault,
    own,
    records,
    restore,
)
from tests.support.vaultctl import document, person_at, vaultctl


@pytest.fixture(scope="module")
def house() -> Iterator[Daemon]:
    with opened_vault() as daemon:
        yield daemon


@pytest.fixture
def vault(house: Daemon) -> Iterator[Daemon]:
    yield house
    restore(house)


# --- again, half and undone -------------------------------------------------------------------------------------------


def test_importing_again_skips_what_is_in(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "passivbot.json")
    imported(vault, path)
    before = exchanges(vault)
    again = imported(vault, path)
    assert {each["status"] for each in again["entries"]} == {"already_connected", "no_key"}
    assert exchanges(vault) == before


def test_a_half_that_is_connected_already_is_told_from_the_whole(vault: Daemon, tmp_path: Path) -> None:
    other = {"publicApiKey": "other-key-canary-0001", "privateApiKey": "other-secret-canary"}
    path = own(tmp_path, "d.json", {"kind": "binance", "readConfiguration": READ_PAIR, "writeConfiguration": other})
    (entry,) = imported(vault, path, code=7)["entries"]
    assert (entry["status"], "its read pair is already connected" in entry["reason"]) == ("refused", True)


def test_an_import_that_ends_in_the_middle_says_what_is_in_and_can_be_repeated(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "many.json", [numbered(each) for each in range(8)])
    with person_at(vault, "import", str(path)) as person:
        person.expect("Import 8 of 8? [y/N]: ")
        # From here on the record directory takes three records: the disk is full, as far as the import can tell.
        state = vault.home / ".local/state"
        state.mkdir(parents=True)
        (state / "vaultd").write_text("not a directory")
        person.type("y")
        person.expect("cannot be written")
        assert person.leave() == 7
    assert exchanges(vault) == ["binance-main"]
    (state / "vaultd").unlink()
    with person_at(vault, "import", str(path)) as person:
        person.expect("Import 8 of 8? [y/N]: ")
        vault.lock()
        person.type("y")
        person.expect("not tried: n0")
        person.expect("vaultctl unlock")
        assert person.leave() == 4
    vault.unlock()
    found = imported(vault, path)
    assert {each["status"] for each in found["entries"]} == {"imported"}
    assert len(exchanges(vault)) == 9


def test_an_import_that_is_killed_leaves_whole_exchanges_and_goes_on(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "many.json", [numbered(each) for each in range(40)])
    with person_at(vault, "import", str(path), "--yes") as person:
        for _ in range(3000):
            # Waits for its end or a moment: the record is a file, and a file cannot be waited for.
            made = [json.loads(each.read_text()) for each in records(vault) if each.suffix == ".json"]
            if made and len(made[0]["made"]) > 3:
                break
            assert not select.select([person.terminal], [], [], 0.01)[0] or os.read(person.terminal, 65536)
        person.process.kill()
        person.process.wait()
    (record,) = [json.loads(each.read_text()) for each in records(vault) if each.suffix == ".json"]
    there = exchanges(vault)
    assert 3 < len(record["made"]) < 40
    assert {each["name"] for each in record["made"]} | {record["pending"]} >= {*there} - {"binance-main"}
    for name in {*there} - {"binance-main"}:
        assert fields(vault, name)["secret"] == PAIR["secret"]
    found = imported(vault, path)
    assert {each["status"] for each in found["entries"]} == {"imported", "already_connected"}
    assert len(exchanges(vault)) == 41
    undone = document(vault, "import", "undo", record["id"], "--yes")
    assert undone["erased"] == [each["name"] for each in record["made"]]


def test_undo_erases_exactly_what_the_import_made(vault: Daemon, tmp_path: Path) -> None:
    imported(vault, own(tmp_path, "one.json", flat("one")))
    found = imported(vault, own(tmp_path, "passivbot.json"))
    assert document(vault, "import", "list")["imports"][0]["id"] == found["import"]
    with person_at(vault, "import", "undo") as person:
        person.answer("Erase binance_01, bitget_01, hyperliquid_01", "y")
        assert person.leave() == 0
    assert exchanges(vault) == ["binance-main", "one"]
    undone = document(vault, "import", "undo", "--yes")
    assert (undone["erased"], exchanges(vault)) == (["one"], ["binance-main"])
    done = vaultctl(vault, "import", "undo", "--yes")
    assert (done.returncode, "no import to undo" in done.stderr) == (8, True)


def test_undo_is_refused_when_something_was_changed_since(vault: Daemon, tmp_path: Path) -> None:
    found = imported(vault, own(tmp_path, "passivbot.json"))
    with vault.admin() as admin:
        admin.update_exchange("bitget_01", labels={"in": "use"})
    done = vaultctl(vault, "import", "undo", found["import"], "--yes")
    assert done.returncode == 9
    assert "bitget_01 was changed since the import; nothing was erased" in done.stderr
    assert len(exchanges(vault)) == 4
    with vault.admin() as admin:
        admin.delete_exchange("bitget_01")
    undone = document(vault, "import", "undo", found["import"], "--yes")
    assert (undone["gone"], exchanges(vault)) == (["bitget_01"], ["binance-main"])


def test_undo_belongs_to_one_vault_and_one_user(vault: Daemon, tmp_path: Path) -> None:
    found = imported(vault, own(tmp_path, "one.json", flat("one")))
    (path,) = records(vault)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    written = path.read_text()
    path.write_text(written.replace(json.loads(written)["vault_id"], "00" * 16))
    done = vaultctl(vault, "import", "undo", found["import"], "--yes")
    assert (done.returncode, "into another vault" in done.stderr) == (9, True)
    path.write_text(written)
    path.chmod(0o620)
    done = vaultctl(vault, "import", "undo", found["import"], "--yes")
    assert (done.returncode, "open to others" in done.stderr) == (7, True)
    for name in ("../" * 3 + found["import"], "nothing", "20260101-000000-0000"):
        assert vaultctl(vault, "import", "undo", name, "--yes").returncode == 8
    assert exchanges(vault) == ["binance-main", "one"]


# --- shredding --------------------------------------------------------------------------------------------------------


def test_a_file_of_keys_is_shredded_and_undo_says_what_that_means(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    with person_at(vault, "import", str(path)) as person:
        person.answer("Import 1 of 1? [y/N]: ", "y")
        person.answer("Overwrite and remove it? [y/N]: ", "y")
        person.expect("That is no promise")
        assert person.leave() == 0
    assert not path.exists()
    with person_at(vault, "import", "undo") as person:
        person.expect("these keys may exist nowhere else")
        person.answer("Erase Binance 1", "n")
        assert person.leave() == 130
    assert exchanges(vault) == ["Binance 1", "binance-main"]


def test_what_is_shredded_is_overwritten_first(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    with path.open("rb") as still_open:
        imported(vault, path, "--shred")
        assert not path.exists()
        assert still_open.read() == b""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([flat("one"), {"type": "binance", "name": "half", "api_key": "half-key-canary"}], "was not imported"),
        ([flat("one"), flat("there", **READ_PAIR)], "whose secret may be another one"),
        ({"exchange": {"name": "binance", "key": "f-key-canary-000000000001", "secret": "s-canary"}, "telegram": {}}, "more than keys"),
        ("BINANCE_API_KEY=e-key-canary-000001\nBINANCE_API_SECRET=s-canary\nOPENAI_API_KEY=sk-canary\n", "was not imported"),
    ],
)  # fmt: skip
def test_nothing_is_shredded_that_is_not_in_the_vault(vault: Daemon, tmp_path: Path, content: object, why: str) -> None:
    path = own(tmp_path, "source", content)
    before = path.read_bytes()
    done = vaultctl(vault, "import", str(path), "--yes", "--shred")
    assert done.returncode in {0, 7}
    assert len(exchanges(vault)) == 2
    assert why in done.stderr
    assert path.read_bytes() == before


def test_a_link_is_not_shredded_through(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    soft, hard = tmp_path / "soft.json", tmp_path / "hard.json"
    soft.symlink_to(path)
    done = vaultctl(vault, "import", str(soft), "--yes", "--shred")
    assert f"is a link; the file itself is {path}" in done.stderr
    os.link(path, hard)
    assert "2 names" in vaultctl(vault, "import", str(path), "--yes", "--shred").stderr
    hard.unlink()
    assert path.exists()


def test_a_file_is_shredded_later_if_it_is_the_one_that_was_imported(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    imported(vault, path)
    changed = own(tmp_path, "changed.json", path.read_text())
    assert not imported(vault, changed, "--shred")["shredded"]
    assert imported(vault, path, "--shred")["shredded"]
    assert (path.exists(), changed.exists()) == (False, True)
    assert document(vault, "import", "list")["imports"][0]["shredded"] == [str(path)]


# --- no secret gets out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    sorted(
        each.name
        for each in DATA.iterdir()
        if each.suffix in {".json", ".js", ".env", ".csv"} and each.name != "keystore.json"
    ),
)
def test_no_secret_is_in_output_errors_or_the_record(vault: Daemon, tmp_path: Path, name: str) -> None:
    path = own(tmp_path, name)
    assert "canary" in path.read_text()
    broken = own(tmp_path, "broken", path.read_text()[: path.stat().st_size * 2 // 3])
    said, shown, secrets = "", "", set[str]()
    for arguments in (
        (str(path), "--dry-run"), (str(path), "--yes"), (str(path), "--yes", "--json"), (str(broken), "--yes"),
        (str(path), "--yes", "--shred"), ("list",), ("list", "--json"), ("undo", "--yes"),
    ):  # fmt: skip
        done = vaultctl(vault, "import", *arguments)
        said += done.stdout + done.stderr
        said += "".join(each.read_text() for each in records(vault))
        if arguments == (str(path), "--yes"):
            names = [each["name"] for each in json.loads(records(vault)[0].read_text())["made"]]
            secrets |= {value for name in names for value in fields(vault, name).values() if value != "true"}
            shown = vaultctl(vault, "reveal", names[0], "--configuration", "write").stdout
    said += vault.log()
    assert "imported" in said
    assert [each for each in secrets if each in said] == []
    assert "canary" not in said
    assert [each for each in secrets if each in shown]  # positive control: where secrets are shown, they are found
