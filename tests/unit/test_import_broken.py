"""A file that is broken, huge, encrypted or not what it seems: the error says where, and never what stands there."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd_client.errors import InvalidError, VaultClientError
from vaultd_client.imports import envfile, formats, jsons, keystore
from vaultd_client.imports.source import MAX_FILE_BYTES, Source, sources

DATA = Path(__file__).parents[1] / "data" / "imports"
SECONDS = 5.0
"""More than anything within the limits takes, and far below what a quadratic scan of a megabyte would."""


def read(path: Path, wanted: str | None = None) -> object:
    return formats.read(sources(str(path)), wanted, lambda: b"a password")


def refused(path: Path, wanted: str | None = None) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        read(path, wanted)
    assert caught.value.hint
    assert "canary" not in str(caught.value) + caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n  "exchange": {"name": "binance",\n   "key" "canary"}\n}', "line 3, column 10"),
        ('{"exchange": {"key": "canary\n"}}', "line 1, column 29"),
        ('{"a": "\\canary"}', "line 1, column 8"),
        ("{'key': 'canary'}", "line 1, column 2"),
        ('/* a comment\n*/ {"key": canary}', "line 2, column 12"),
        ('{"key": "canary"} canary', "line 1, column 19"),
        ("module.exports = {\n  key: 'canary'\n};", "line 2, column 3"),
        ('{"a": ' * 40 + "1" + "}" * 40, "column 193: nested more than 32 deep"),
    ],
)
def test_broken_json_is_named_by_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert str(refused(path)).startswith(f"{path}: ")
    assert place in str(refused(path))


@pytest.mark.parametrize(
    ("wanted", "text", "place"),
    [
        ("hummingbot", "connector: binance\nkey: [canary\nother: x\n", "line 3, column 6"),
        ("hummingbot", "connector: binance\n\tkey: canary\n", "line 2, column 1"),
        ("hummingbot", "connector: binance\nkey: *canary\n", "line 2, column 6"),
        ("hummingbot", "connector: binance\nkey: \x07canary\n", "line 2, column 6"),
        ("hummingbot", "connector: binance\nkey: {a: canary}\n", "no connector's file"),
        ("hummingbot", "connector: binance\nkey: canary\nkey: other\n", "a name comes twice"),
        ("hummingbot", "connector: binance\nbinance_api_key: canary\n'binance_api_key': canary\n", "a name comes twice"),
        ("hummingbot", "connector: " + "[" * 5000, "is not YAML"),
        ("hummingbot", "connector: x\n# " + "x" * 70_000, "larger than 64 KiB"),
        ("env", "KRAKEN_API_KEY=canary\nthis is canary\n", "line 2, column 1"),
        ("env", 'KRAKEN_API_KEY="canary\n', "line 1, column 1"),
        ("csv", 'name,exchange,api_key,secret\nmain,okx,"canary" x,canary\n', "line 2, column 1"),
        ("csv", "name,exchange,api_key,api_key\n", "two columns are api_key"),
        ("csv", "canary,canary\ncanary,canary\n", "no names that are known"),
        ("freqtrade", '{"key": "canary"}', "has no `exchange`"),
        ("octobot", "[]", "has no `exchanges`"),
        ("dfns", "[1, 2]", "neither an exchange"),
        ("coinbase", '{"name": "canary"}', "no key file of Coinbase"),
    ],
)
def test_what_is_broken_otherwise_is_named_too(tmp_path: Path, wanted: str, text: str, place: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert place in str(refused(path, wanted))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b'{"key": "\xff canary"}', "line 1: not UTF-8"),
        (b"a\0b", "binary"),
        (b"age-encryption.org/v1\n-> X25519 x", "encrypted (age)"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n33", "encrypted (Ansible Vault)"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted (OpenPGP)"),
        (b"Salted__\x00\x01", "encrypted (openssl enc)"),
        (b"x" * (MAX_FILE_BYTES + 1), "larger than 1024 KiB"),
        (b"just words\n", "no format that is known"),
        (b'{"a": 1}', "no format that is known"),
        (b'{"a": 1, "a": 2}', "a name comes twice"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert words in str(refused(path))


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    assert "No such file" in str(refused(tmp_path / "missing"))
    assert "neither a file nor a directory" in str(refused(Path("/dev/zero")))
    assert "holds no connector files" in str(refused(tmp_path))
    for number in range(257):
        (tmp_path / f"{number}.yml").write_text("connector: x\n")
    assert "more than 256 files" in str(refused(tmp_path))


def test_more_entries_than_anyone_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    lines = [f"n{number},okx,key-{number:020},s" for number in range(501)]
    path.write_text("\n".join(["name,exchange,api_key,secret", *lines]))
    assert "more than 500 entries" in str(refused(path))
    path.write_text("\n".join(["name,exchange,api_key,secret", *lines[:500]]))
    read(path)


def test_a_file_that_may_be_of_two_formats_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    pair = {"api_key": "k-canary", "secret": "s-canary"}
    path.write_text(json.dumps({"exchanges": {"a": {"api-key": "x-canary"}, "b": {"key": "y-canary"}}, "extra": pair}))
    error = refused(path)
    assert "octobot or gunbot" in str(error)
    assert "--from octobot" in error.hint
    read(path, "gunbot")


HEAVY: dict[str, Callable[[int], str]] = {
    "comments that never end": lambda size: "{" + "/*" * (size // 2),
    "quotes": lambda size: "{" + '"' * size,
    "backslashes": lambda size: '{"' + "\\" * size,
    "commas": lambda size: "{" + "," * size,
    "commas and blanks": lambda size: "{" + ", " * (size // 2),
    "blanks": lambda size: "{," + " " * size,
    "brackets": lambda size: "[" * size,
    "slashes": lambda size: "{" + "/" * size,
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_file_that_is_made_to_be_slow_is_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / "heavy.json"
    path.write_text(HEAVY[name](MAX_FILE_BYTES - 16))
    begun = time.process_time()
    refused(path, "freqtrade")
    assert time.process_time() - begun < SECONDS


@given(st.recursive(st.text() | st.booleans() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_plain_json_is_read_as_it_is(document: object) -> None:
    assert jsons.loads("x", json.dumps(document)) == document
    assert jsons.loads("x", "// c\n" + json.dumps(document, indent=1) + " /* c */") == document


@given(st.text(alphabet='{}[]",:/*\\ \nabc1'))
def test_no_text_ends_in_anything_but_an_error_of_ours(text: str) -> None:
    try:
        jsons.loads("x", text)
    except VaultClientError:
        pass


@given(st.text(alphabet="connector:=,;|&*!{}[]\"'#- \n\tABC_KEY019"), st.sampled_from([*formats.TEXT, None]))
def test_no_text_of_the_other_formats_either(text: str, form: str | None) -> None:
    source = Source("x", text)
    try:
        formats.read([source], form, lambda: b"p")
    except VaultClientError:
        pass


@pytest.mark.parametrize(
    ("module", "wanted", "text", "package"),
    [
        ("yaml", "hummingbot", "connector: x\n", "PyYAML"),
        ("dotenv.parser", "env", "A_KEY=canary\n", "python-dotenv"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, wanted: str, text: str, package: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    read_before = formats.read(sources(str(path)), wanted, lambda: b"")
    assert read_before
    monkeypatch.setitem(sys.modules, module, None)  # what `import` meets where it is not installed
    error = refused(path, wanted)
    assert package in str(error)
    assert error.hint == "pip install 'vaultd-client[import]'"


# --- keystores --------------------------------------------------------------------------------------------------------


def vector() -> dict[str, object]:
    made: dict[str, object] = json.loads((DATA / "keystore.json").read_text())
    return made


def test_the_published_keystore_opens_with_its_password_and_with_no_other() -> None:
    given = vector()
    box, password = given["keystore"], str(given["password"]).encode()
    assert isinstance(box, dict)
    assert keystore.opened(box, password).hex() == given["plaintext"]
    with pytest.raises(keystore.WrongPasswordError):
        keystore.opened(box, password + b"x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kdfparams", "c"), 10_000_001),
        (("kdfparams", "c"), 0),
        (("kdfparams", "c"), "many"),
        (("kdfparams", "dklen"), 2**40),
        (("kdfparams", "prf"), "hmac-sha1"),
        (("kdfparams", "salt"), "zz"),
        (("kdf",), "scrypt"),
        (("cipher",), "aes-256-cbc"),
        (("cipherparams",), None),
        (("mac",), None),
    ],
)
def test_a_keystore_that_asks_for_too_much_or_something_else_is_refused_at_once(path: tuple[str, ...], value: object) -> None:
    box = vector()["keystore"]
    assert isinstance(box, dict)
    inner = box["crypto"]
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    begun = time.process_time()
    with pytest.raises(keystore.BrokenKeystoreError):
        keystore.opened(box, b"testpassword")
    assert time.process_time() - begun < SECONDS


# --- where files come from --------------------------------------------------------------------------------------------


def test_a_pipe_with_a_name_is_read_and_has_nothing_to_shred(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    child = os.fork()
    if not child:
        path.write_text('{"exchange": {"name": "okx", "key": "canary"}}')
        os._exit(0)
    (source,) = sources(str(path))
    os.waitpid(child, 0)
    assert (source.path, source.stamp) == (None, None)
    assert "canary" in source.text
    assert "canary" not in repr(source)


# --- .env files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found", "only_keys"),
    [
        ("KRAKEN_API_KEY=k1\nKRAKEN_API_SECRET=s1\n", {"kraken": ["api_key", "secret"]}, True),
        ("KRAKEN_API_KEY=k1\nKRAKEN_API_SECRET=s1\nDEBUG=1\n", {"kraken": ["api_key", "secret"]}, False),
        ("API_KEY=k1\nAPI_SECRET_KEY=s1\nEXCHANGE=okx\n", {"okx": ["api_key", "secret"]}, True),
        ("API_KEY=k1\nAPI_SECRET=s1\n", {"": ["api_key", "secret"]}, True),
        ("SECRET_KEY=django\nPASSWORD=x\n", {}, False),
        ("FREQTRADE__EXCHANGE__NAME=bybit\nFREQTRADE__EXCHANGE__KEY=k1\n", {"bybit": ["api_key"]}, True),
        ("PB_EXCHANGE=bitget\nPB_API_KEY=k1\nPB_API_PASSPHRASE=p1\n", {"bitget": ["api_key", "passphrase"]}, True),
        ("HYPERLIQUID_TESTNET_PK=0x1\n", {"hyperliquid": ["private_key"]}, True),
    ],
)
def test_names_of_variables_are_taken_apart(
    tmp_path: Path, text: str, found: dict[str, list[str]], only_keys: bool
) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    _, reading = formats.read(sources(str(path)), "env", lambda: b"")
    assert {entry.name: sorted(entry.pairs[""]) for entry in reading.entries} == found
    assert reading.only_keys == only_keys


def test_a_variable_that_refers_to_another_or_comes_twice_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OKX_API_KEY=${canary}\nKRAKEN_API_KEY=canary-1\nKRAKEN_KEY=canary-2\n")
    _, reading = formats.read(sources(str(path)), None, lambda: b"")
    assert [each.why for each in reading.left_out] == [
        "OKX_API_KEY refers to another variable: write the value itself",
        "KRAKEN_KEY: api_key is given twice and differs",
    ]


def test_what_is_gathered_of_an_env_file_hides_its_keys() -> None:
    account = envfile._Account("okx", ("okx",), "", pairs={"": {"api_key": "of-the-file"}})
    assert "okx" in repr(account)
    assert "of-the-file" not in repr(account)
