"""proto/README.md is what the vectors, the descriptors and the client say: its bytes, its key file, its field numbers."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf import any_pb2
from google.protobuf.descriptor import Descriptor
from google.rpc import error_details_pb2, status_pb2

from vaultd import limits
from vaultd.server.status import DOMAIN
from vaultd_api.v1.errors_pb2 import ErrorReason
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialRequest, RevealCredentialResponse
from vaultd_client import paths
from vaultd_client.keys import MAX_FILE_BYTES, ClientKey

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "proto" / "README.md").read_text()
VECTORS = ROOT / "tests" / "vectors"
_HEX = re.compile(r"<!-- hex: (\S+) (\w+) -->\n```\n(.*?)```\n", re.DOTALL)
DRAWN = {(file, field): text for file, field, text in _HEX.findall(PAGE)}


def drawn(file: str, field: str) -> str:
    """The hex of a block, without its comments."""
    return "".join(line.partition("#")[0].strip() for line in DRAWN[file, field].splitlines())


def vector(file: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((VECTORS / file).read_text())
    return found


@pytest.mark.parametrize(("file", "field"), DRAWN)
def test_the_worked_example_is_the_vector(file: str, field: str) -> None:
    assert drawn(file, field) == vector(file)[field]


def test_the_worked_example_goes_through_the_whole_call() -> None:
    request, reply = "request_v1.json", "reply_v1.json"
    assert DRAWN.keys() == {
        (request, "signed"),
        (request, "signature"),
        (reply, "context"),
        (reply, "sealed"),
        (reply, "plaintext"),
    }
    length = len(drawn(reply, "sealed")) // 2
    assert f"`{length:08x}` ({length}, the length of `sealed`)" in PAGE
    assert all("#" in line for text in DRAWN.values() for line in text.splitlines()), "a line without its comment"


def test_the_comments_of_the_worked_example_say_what_the_bytes_mean() -> None:
    signed = bytes.fromhex(drawn("request_v1.json", "signed"))
    body = RevealCredentialRequest.FromString(signed[154 + int.from_bytes(signed[148:150], "big") :])
    assert (body.exchange, body.configuration) == ("main", "read")
    answer = RevealCredentialResponse.FromString(bytes.fromhex(drawn("reply_v1.json", "plaintext")))
    assert (answer.name, answer.configuration, answer.version) == ("main", "read", 3)
    assert (answer.fields.api_key, answer.fields.secret) == ("KEY-0001", "SECRET-0001")


def test_the_key_file_of_the_page_is_one_and_holds_the_key_of_the_vectors(tmp_path: Path) -> None:
    match = re.search(r"<!-- key file: (\S+) -->\n```\n(.*?)```\n", PAGE, re.DOTALL)
    assert match is not None
    path = tmp_path / "client.key"
    path.touch(0o600)
    path.write_text(match[2])
    key = ClientKey.load(path)
    document = vector(match[1])
    assert key.public_key.hex() == document["public_key"]
    assert key.sign(bytes.fromhex(document["signed"])).hex() == document["signature"]
    assert key.vault is not None
    assert key.vault.identity.hex() == vector("reply_v1.json")["identity"]
    assert key.vault.vault_id.hex() == vector("seal_v1.json")["vault_id"]
    assert f"At most {MAX_FILE_BYTES} bytes" in PAGE


def test_the_key_file_that_the_client_writes_has_the_form_of_the_page(tmp_path: Path) -> None:
    match = re.search(r"<!-- key file: \S+ -->\n```\n(.*?)```\n", PAGE, re.DOTALL)
    assert match is not None
    (tmp_path / "page").touch(0o600)
    (tmp_path / "page").write_text(match[1])
    ClientKey.load(tmp_path / "page").save(tmp_path / "again")
    written = (tmp_path / "again").read_text()
    assert re.sub(r"made \S+", "made 2026-01-31.", written) == match[1]


@pytest.mark.parametrize(
    ("name", "prefix"), [("PKCS #8", "302e020100300506032b657004220420"), ("public", "302a300506032b6570032100")]
)
def test_the_bytes_before_a_raw_key_are_those_of_rfc_8410(name: str, prefix: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

    document = vector("request_v1.json")
    assert f"`{prefix}`" in PAGE
    if name == "public":
        load_der_public_key(bytes.fromhex(prefix + document["public_key"]))
    else:
        private = load_der_private_key(bytes.fromhex(prefix + document["private_key"]), None)
        assert private.public_key().public_bytes_raw().hex() == document["public_key"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "kind",
    [
        status_pb2.Status.DESCRIPTOR,
        any_pb2.Any.DESCRIPTOR,
        error_details_pb2.ErrorInfo.DESCRIPTOR,
        error_details_pb2.BadRequest.DESCRIPTOR,
        error_details_pb2.BadRequest.FieldViolation.DESCRIPTOR,
    ],
    ids=lambda kind: kind.name,
)
def test_the_fields_of_an_error_have_the_numbers_of_the_page(kind: Descriptor) -> None:
    owner = kind.full_name.removesuffix(".FieldViolation")
    line = next(line for line in PAGE.splitlines() if line.startswith(f"{owner} "))
    said = {(int(number), name) for number, name in re.findall(r"\b(\d) (?:[\w.]+(?:<.*?>)? )*?(\w+)(?= =|,|$| {| })", line)}
    real = {(field.number, field.name) for field in kind.fields}
    if owner == "google.rpc.BadRequest":
        assert said == {(1, "field_violations"), (1, "field"), (2, "description")}
        assert real & said
    else:
        assert said == real


def test_the_domain_and_the_reasons_of_the_page_are_the_real_ones() -> None:
    table = re.findall(r"^\| (`[A-Z_`, ]+`)", PAGE[PAGE.index("## 8. Errors") : PAGE.index("## 9.")], re.MULTILINE)
    named = {word for cell in table for word in re.findall(r"`([A-Z_]+)`", cell)}
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - no __iter__
    assert named >= {"VAULT_LOCKED", "REQUEST_REFUSED", "PERMISSION_DENIED", "RATE_LIMITED"}
    assert named <= known
    assert f"where `domain` is `{DOMAIN}`" in PAGE


def test_every_vector_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(\w+\.json)`", PAGE))
    assert {"request_v1.json", "reply_v1.json", "seal_v1.json"} <= named
    assert [name for name in named if not (VECTORS / name).is_file()] == []


def test_the_places_of_the_page_are_where_the_client_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    section = PAGE[PAGE.index("## 1.") : PAGE.index("## 3.")]
    assert f"`{paths.PUBLIC_SOCKET}` in `$VAULTD_RUNTIME_DIR`" in section
    assert f"`{paths.SYSTEM_RUNTIME_DIR}/{paths.PUBLIC_SOCKET}`" in section
    monkeypatch.setenv("VAULTD_SOCKET", "/a/socket")
    monkeypatch.setenv("VAULTD_KEY", "/a/key")
    assert (paths.public_socket(), paths.key_file()) == (Path("/a/socket"), Path("/a/key"))
    monkeypatch.setenv("VAULTD_SOCKET", "")
    monkeypatch.setenv("VAULTD_KEY", "")
    monkeypatch.setenv("VAULTD_RUNTIME_DIR", "/b")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    assert paths.public_socket() == Path("/b/vaultd.sock")
    assert paths.key_file() == Path("/c/vaultd/client.key")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("A message to the daemon may have {} KiB", limits.MAX_MESSAGE_BYTES // limits.KIB),
        ("replies have up to {} MiB", limits.MAX_REPLY_BYTES // limits.MIB),
        ("At most {} KiB. `SignedRequest.signature`", limits.MAX_SIGNED_BYTES // limits.KIB),
        ("ttl_ms               1 to {}", limits.MAX_TTL_MS),
        ("no more than {} s ahead", limits.MAX_CLOCK_LEAD_MS // 1000),
    ],
)
def test_the_limits_of_the_page_are_the_daemons(said: str, number: int) -> None:
    assert said.format(number) in PAGE
