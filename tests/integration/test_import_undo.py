"""An import is never half, can be repeated and undone; its source is shredded only when nothing of it would be lost."""

import json
import os
import select
import stat
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
    own,
    records,
)
from tests.support.vaultctl import document, person_at, vaultctl

pytestmark = pytest.mark.usefixtures("as_found")


# --- again, half and undone -------------------------------------------------------------------------------------------


def test_importing_again_skips_what_is_in(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "passivbot.json")
    imported(house, path)
    before = exchanges(house)
    again = imported(house, path)
    assert {each["status"] for each in again["entries"]} == {"already_connected", "no_key"}
    assert exchanges(house) == before


def test_a_half_that_is_connected_already_is_told_from_the_whole(house: Daemon, tmp_path: Path) -> None:
    other = {"publicApiKey": "other-key-canary-0001", "privateApiKey": "other-secret-canary"}
    path = own(tmp_path, "d.json", {"kind": "binance", "readConfiguration": READ_PAIR, "writeConfiguration": other})
    (entry,) = imported(house, path, code=7)["entries"]
    assert (entry["status"], "its read pair is already connected" in entry["reason"]) == ("refused", True)


def test_an_import_that_ends_in_the_middle_says_what_is_in_and_can_be_repeated(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "many.json", [numbered(each) for each in range(8)])
    with person_at(house, "import", str(path)) as person:
        person.expect("Import 8 of 8? [y/N]: ")
        # From here on the record directory takes three records: the disk is full, as far as the import can tell.
        state = house.home / ".local/state"
        state.mkdir(parents=True)
        (state / "vaultd").write_text("not a directory")
        person.type("y")
        person.expect("cannot be written")
        assert person.leave() == 7
    assert exchanges(house) == ["binance-main"]
    (state / "vaultd").unlink()
    with person_at(house, "import", str(path)) as person:
        person.expect("Import 8 of 8? [y/N]: ")
        house.lock()
        person.type("y")
        person.expect("not tried: n0")
        person.expect("vaultctl unlock")
        assert person.leave() == 4
    house.unlock()
    found = imported(house, path)
    assert {each["status"] for each in found["entries"]} == {"imported"}
    assert len(exchanges(house)) == 9


def test_an_import_that_is_killed_leaves_whole_exchanges_and_goes_on(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "many.json", [numbered(each) for each in range(40)])
    with person_at(house, "import", str(path), "--yes") as person:
        for _ in range(3000):
            # Waits for its end or a moment: the record is a file, and a file cannot be waited for.
            made = [json.loads(each.read_text()) for each in records(house) if each.suffix == ".json"]
            if made and len(made[0]["made"]) > 3:
                break
            assert not select.select([person.terminal], [], [], 0.01)[0] or os.read(person.terminal, 65536)
        person.process.kill()
        person.process.wait()
    (record,) = [json.loads(each.read_text()) for each in records(house) if each.suffix == ".json"]
    there = exchanges(house)
    assert 3 < len(record["made"]) < 40
    assert {each["name"] for each in record["made"]} | {record["pending"]} >= {*there} - {"binance-main"}
    for name in {*there} - {"binance-main"}:
        assert fields(house, name)["secret"] == PAIR["secret"]
    found = imported(house, path)
    assert {each["status"] for each in found["entries"]} == {"imported", "already_connected"}
    assert len(exchanges(house)) == 41
    undone = document(house, "import", "undo", record["id"], "--yes")
    assert undone["erased"] == [each["name"] for each in record["made"]]


def test_undo_erases_exactly_what_the_import_made(house: Daemon, tmp_path: Path) -> None:
    imported(house, own(tmp_path, "one.json", flat("one")))
    found = imported(house, own(tmp_path, "passivbot.json"))
    assert document(house, "import", "list")["imports"][0]["id"] == found["import"]
    with person_at(house, "import", "undo") as person:
        person.answer("Erase binance_01, bitget_01, hyperliquid_01", "y")
        assert person.leave() == 0
    assert exchanges(house) == ["binance-main", "one"]
    undone = document(house, "import", "undo", "--yes")
    assert (undone["erased"], exchanges(house)) == (["one"], ["binance-main"])
    done = vaultctl(house, "import", "undo", "--yes")
    assert (done.returncode, "no import to undo" in done.stderr) == (8, True)


def test_undo_is_refused_when_something_was_changed_since(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "passivbot.json"))
    with house.admin() as admin:
        admin.update_exchange("bitget_01", labels={"in": "use"})
    done = vaultctl(house, "import", "undo", found["import"], "--yes")
    assert done.returncode == 9
    assert "bitget_01 was changed since the import; nothing was erased" in done.stderr
    assert len(exchanges(house)) == 4
    with house.admin() as admin:
        admin.delete_exchange("bitget_01")
    undone = document(house, "import", "undo", found["import"], "--yes")
    assert (undone["gone"], exchanges(house)) == (["bitget_01"], ["binance-main"])


def test_undo_belongs_to_one_vault_and_one_user(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "one.json", flat("one")))
    (path,) = records(house)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    written = path.read_text()
    path.write_text(written.replace(json.loads(written)["vault_id"], "00" * 16))
    done = vaultctl(house, "import", "undo", found["import"], "--yes")
    assert (done.returncode, "into another vault" in done.stderr) == (9, True)
    path.write_text(written)
    path.chmod(0o620)
    done = vaultctl(house, "import", "undo", found["import"], "--yes")
    assert (done.returncode, "open to others" in done.stderr) == (7, True)
    for name in ("../" * 3 + found["import"], "nothing", "20260101-000000-0000"):
        assert vaultctl(house, "import", "undo", name, "--yes").returncode == 8
    assert exchanges(house) == ["binance-main", "one"]


# --- shredding --------------------------------------------------------------------------------------------------------


def test_a_file_of_keys_is_shredded_and_undo_says_what_that_means(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    with person_at(house, "import", str(path)) as person:
        person.answer("Import 1 of 1? [y/N]: ", "y")
        person.answer("Overwrite and remove it? [y/N]: ", "y")
        person.expect("That is no promise")
        assert person.leave() == 0
    assert not path.exists()
    with person_at(house, "import", "undo") as person:
        person.expect("these keys may exist nowhere else")
        person.answer("Erase Binance 1", "n")
        assert person.leave() == 130
    assert exchanges(house) == ["Binance 1", "binance-main"]


def test_what_is_shredded_is_overwritten_first(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    with path.open("rb") as still_open:
        imported(house, path, "--shred")
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
def test_nothing_is_shredded_that_is_not_in_the_vault(house: Daemon, tmp_path: Path, content: object, why: str) -> None:
    path = own(tmp_path, "source", content)
    before = path.read_bytes()
    done = vaultctl(house, "import", str(path), "--yes", "--shred")
    assert done.returncode in {0, 7}
    assert len(exchanges(house)) == 2
    assert why in done.stderr
    assert path.read_bytes() == before


_TWO = "BINANCE_API_KEY=e-key-canary-000001\nBINANCE_API_SECRET=s-canary\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env", f"# BINANCE_API_SECRET=the0old0secret0canary\n{_TWO}"),
        (".env", f"{_TWO}# before: TheOtherSecretCanary\n"),
        (".env", _TWO.replace("s-canary", "s-canary # was the0old0secret0canary")),
        ("a.json", json.dumps(flat("one")).replace("{", '{// "secret": "the0old0secret0canary",\n', 1)),
        ("a.json", json.dumps(flat("one")) + "/* the0old0secret0canary */"),
    ],
)
def test_a_key_in_a_comment_keeps_the_file(house: Daemon, tmp_path: Path, name: str, content: str) -> None:
    path = own(tmp_path, name, content)
    done = vaultctl(house, "import", str(path), "--yes", "--shred")
    assert done.returncode == 0, done.stderr
    assert "it holds more than keys" in done.stderr
    assert path.read_text() == content


def test_other_comments_do_not(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, ".env", f"# the keys of my bot\n#### binance_perpetual_testnet ####\n{_TWO}")
    assert document(house, "import", str(path), "--yes", "--shred")["shredded"]
    assert not path.exists()


def test_a_link_is_not_shredded_through(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    soft, hard = tmp_path / "soft.json", tmp_path / "hard.json"
    soft.symlink_to(path)
    done = vaultctl(house, "import", str(soft), "--yes", "--shred")
    assert f"is a link; the file itself is {path}" in done.stderr
    os.link(path, hard)
    assert "2 names" in vaultctl(house, "import", str(path), "--yes", "--shred").stderr
    hard.unlink()
    assert path.exists()


def test_a_file_is_shredded_later_if_it_is_the_one_that_was_imported(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "dfns.json")
    imported(house, path)
    changed = own(tmp_path, "changed.json", path.read_text())
    assert not imported(house, changed, "--shred")["shredded"]
    assert imported(house, path, "--shred")["shredded"]
    assert (path.exists(), changed.exists()) == (False, True)
    assert document(house, "import", "list")["imports"][0]["shredded"] == [str(path)]


# --- no secret gets out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    sorted(
        each.name
        for each in DATA.iterdir()
        if each.suffix in {".json", ".js", ".env", ".csv"} and each.name != "keystore.json"
    ),
)
def test_no_secret_is_in_output_errors_or_the_record(house: Daemon, tmp_path: Path, name: str) -> None:
    path = own(tmp_path, name)
    assert "canary" in path.read_text()
    broken = own(tmp_path, "broken", path.read_text()[: path.stat().st_size * 2 // 3])
    said, shown, secrets = "", "", set[str]()
    for arguments in (
        (str(path), "--dry-run"), (str(path), "--yes"), (str(path), "--yes", "--json"), (str(broken), "--yes"),
        (str(path), "--yes", "--shred"), ("list",), ("list", "--json"), ("undo", "--yes"),
    ):  # fmt: skip
        done = vaultctl(house, "import", *arguments)
        said += done.stdout + done.stderr
        said += "".join(each.read_text() for each in records(house))
        if arguments == (str(path), "--yes"):
            names = [each["name"] for each in json.loads(records(house)[0].read_text())["made"]]
            secrets |= {value for name in names for value in fields(house, name).values() if value != "true"}
            shown = vaultctl(house, "reveal", names[0], "--configuration", "write").stdout
    said += house.log()
    assert "imported" in said
    assert [each for each in secrets if each in said] == []
    assert "canary" not in said
    assert [each for each in secrets if each in shown]  # positive control: where secrets are shown, they are found


def test_a_file_without_a_key_is_neither_said_to_hold_keys_nor_shredded(vault: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "keys.csv", "name,exchange,api key,secret\n")
    assert "plaintext" not in vaultctl(vault, "import", str(path), "--yes").stderr
    assert "holds no key" in vaultctl(vault, "import", str(path), "--yes", "--shred").stderr
    assert path.exists()
    path.write_text("name,exchange,api key,secret\na,binance,import-key-canary-1,import-secret-canary-1\n")
    assert "plaintext" in vaultctl(vault, "import", str(path), "--yes").stderr
