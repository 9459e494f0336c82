"""Hummingbot's `conf/connectors/<connector>.yml`: one Ethereum keystore in hex for every secret field.

All are opened with one password. A file from before the password was changed opens with the old one only: it is named
and left out, the others go on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaultd_client.bots import names
from vaultd_client.errors import InvalidError, UnlockError
from vaultd_client.fields import FieldValues
from vaultd_client.imports import keystore, shapes
from vaultd_client.imports.found import Entry, LeftOut, Reading, given, is_placeholder
from vaultd_client.imports.jsons import broken
from vaultd_client.imports.source import Source

MAX_YAML_BYTES = 64 * 1024
"""PyYAML reads about 100 KiB a second; a connector's file has ten lines of 1 KiB."""
Password = Callable[[], bytes]
"""Asks for the password; called once, and only when something is encrypted."""
_TESTNET = "_testnet"
_KEYS = ("api_key", "secret", "passphrase", "private_key")
"""Where one of these is encrypted and another is not, something has gone wrong with the file."""


def fits(text: str) -> bool:
    """Says whether this is what a connector's file looks like."""
    return any(line.startswith("connector:") for line in text.splitlines())


def read(sources: Sequence[Source], password: Password) -> Reading:
    """Returns one entry for each connector.

    Raises:
        InvalidError: A file is broken, or no connector's.
        UnlockError: The password opens none of the files.
    """
    documents = [(source, _document(source)) for source in sources]
    cached: list[bytes] = []

    def once() -> bytes:
        if not cached:
            cached.append(password())
        return cached[0]

    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    wrong = 0
    for source, document in documents:
        where = source.path.name if source.path else source.name
        try:
            found = _account(where, document, once)
        except keystore.WrongPasswordError:
            wrong += 1
            found = LeftOut(where, document["connector"], "the password does not open it: is it from before a change?")
        if isinstance(found, Entry):
            entries.append(found)
        else:
            left_out.append(found)
    if wrong and not entries:
        raise UnlockError("the password opens none of these files", hint="type the password of Hummingbot itself")
    return Reading(entries, left_out, only_keys=True)


def _document(source: Source) -> Mapping[str, str]:
    """Returns a file as flat text. Nothing but text is made of it: no object, no number, and nothing that holds another."""
    try:
        import yaml
    except ImportError:
        hint = "pip install 'vaultd-client[import]'"
        raise InvalidError("Hummingbot's files need PyYAML, which is not installed", hint=hint) from None
    if len(source.text) > MAX_YAML_BYTES:
        raise InvalidError(f"{source.name} is larger than {MAX_YAML_BYTES // 1024} KiB", hint="is it a connector's file?")
    try:
        root = yaml.compose(source.text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise broken(source.name, source.text, mark.index if mark else 0, "is not YAML from here on") from None
    except yaml.reader.ReaderError as error:
        raise broken(source.name, source.text, error.position, "a character that YAML forbids") from None
    except (yaml.YAMLError, RecursionError):
        raise InvalidError(f"{source.name} is not YAML", hint="check the file with Hummingbot") from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    flat = all(isinstance(each, yaml.ScalarNode) for pair in pairs for each in pair)
    document: dict[str, str] = {key.value: value.value for key, value in pairs} if flat else {}
    if not document.get("connector"):
        raise InvalidError(f"{source.name} is no connector's file of Hummingbot", hint=shapes.OTHER)
    if len(document) < len(pairs):
        raise InvalidError(f"{source.name}: a name comes twice", hint="which one counts? remove one")
    return document


def _account(where: str, document: Mapping[str, str], password: Password) -> Entry | LeftOut:
    written = document["connector"]
    connector = written.removesuffix(_TESTNET)
    testnet = connector != written or any(f"{_TESTNET}_" in name for name in document)
    fields: dict[str, str] = {}
    extra: dict[str, str] = {}
    covered: dict[str, bool] = {}
    for name, value in document.items():
        if name == "connector" or is_placeholder(value):
            continue
        field = _field(connector, name)
        box = _keystore(value)
        if field in _KEYS:
            covered[name] = box is not None
        if len(set(covered.values())) > 1:
            plain = ", ".join(each for each, encrypted in covered.items() if not encrypted)
            return LeftOut(where, written, f"is half encrypted: {plain} is plaintext; connect it anew in Hummingbot")
        if box is not None:
            try:
                value = keystore.opened(box, password()).decode()  # noqa: PLW2901 - the plaintext takes its place
            except keystore.BrokenKeystoreError as error:
                return LeftOut(where, written, f"{name} {error}")
            except UnicodeDecodeError:
                return LeftOut(where, written, f"{name} holds no text")
        if field:
            fields[field] = value
        else:
            extra[name] = value
    fields = given(fields)
    if not fields:
        return shapes.empty(where, written)
    pair: FieldValues = {**fields, "extra": extra} if extra else fields
    return Entry(
        where=where,
        name=written,
        venues=(connector, *(kind for kind, markets in names.HUMMINGBOT_CONNECTORS.items()
                             if connector in markets.values())),
        pairs={"": pair},
        environment="testnet" if testnet else "",
        notices=() if any(covered.values()) else ("its fields are plaintext",),
    )  # fmt: skip


def _field(connector: str, name: str) -> str:
    plain = name.replace(_TESTNET, "")
    for table in (names.HUMMINGBOT, names.HUMMINGBOT_OLD):
        for field, own in table.get(connector, {}).items():
            if own == plain:
                return field
    return ""


def _keystore(value: str) -> Mapping[str, Any] | None:
    """Returns the keystore that a value is, None where it is plaintext."""
    if not value.startswith(("7b", "7B")):
        return None
    try:
        document = json.loads(bytes.fromhex(value))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
