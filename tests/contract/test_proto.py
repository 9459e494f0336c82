"""The protos are written as `buf lint` (STANDARD and COMMENTS) and proto/README.md ask, checked on protoc's descriptors."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.descriptors import (
    ALL,
    CALLERS,
    IDEMPOTENT,
    PROTO,
    REASONS,
    ROOT,
    STATES,
    Element,
    Rpc,
    compiled,
    elements,
    rpcs,
    said,
)
from vaultd.model import VaultState

UPPER_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
ENVELOPE = {"SignedRequest", "SignedReply"}


# --- lint: one function per rule, each gives what is wrong with an element, or nothing ---------------------------


def has_a_comment(each: Element) -> str:
    return "" if each.comment else "has no comment"


def is_named_in_the_manner_of_its_kind(each: Element) -> str:
    manner = {
        "message": UPPER_CAMEL,
        "enum": UPPER_CAMEL,
        "service": UPPER_CAMEL,
        "rpc": UPPER_CAMEL,
        "field": LOWER_SNAKE,
        "extension": LOWER_SNAKE,
        "enum value": UPPER_SNAKE,
    }
    if each.what == "file":
        return "" if LOWER_SNAKE.fullmatch(Path(each.path).stem) else "is not lower_snake.proto"
    return "" if manner[each.what].fullmatch(each.name) else f"is not {manner[each.what].pattern}"


def is_a_proto3_file_whose_package_is_its_directory(each: Element) -> str:
    if each.what != "file":
        return ""
    directory = str(Path(each.path).parent)
    right = each.file.syntax == "proto3" and each.file.package == directory.replace("/", ".") == ROOT.replace("/", ".")
    return "" if right else "syntax, package and directory do not fit"


def has_a_versioned_package(each: Element) -> str:
    return "" if re.fullmatch(r"[a-z.]+\.v[0-9]+", each.file.package) else "package has no version"


def is_an_enum_that_begins_with_unspecified(each: Element) -> str:
    if each.what != "enum":
        return ""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", each.name).upper() + "_"
    names = {value.number: value.name for value in each.descriptor.value}
    if names.get(0) != prefix + "UNSPECIFIED":
        return f"has no {prefix}UNSPECIFIED = 0"
    if each.descriptor.options.allow_alias or len(names) != len(each.descriptor.value):
        return "has two names for a number"
    return "" if all(name.startswith(prefix) for name in names.values()) else f"has values without {prefix}"


def is_a_service_named_so(each: Element) -> str:
    return "is not named ...Service" if each.what == "service" and not each.name.endswith("Service") else ""


def has_messages_of_its_own(each: Element) -> str:
    if each.what != "rpc":
        return ""
    rpc = next(one for one in rpcs() if one.path == "/{}/{}".format(*each.path.rsplit(".", 1)))
    outside = {each.descriptor.input_type.rpartition(".")[2], each.descriptor.output_type.rpartition(".")[2]}
    if each.descriptor.client_streaming or each.descriptor.server_streaming:
        return "streams"
    if rpc.signed != (outside == ENVELOPE):
        return "is signed by its option or its messages, not by both"
    wanted = (f"{rpc.name}Request", f"{rpc.name}Response")
    return "" if (rpc.request, rpc.response) == wanted else f"does not take and return {wanted}"


def names_messages_that_exist(each: Element) -> str:
    if each.what != "rpc":
        return ""
    known = {one.name for one in ALL if one.what == "message"}
    rpc = next(one for one in rpcs() if one.path == "/{}/{}".format(*each.path.rsplit(".", 1)))
    missing = {rpc.request, rpc.response} - known
    return f"names {missing}, which nobody defines" if missing else ""


def is_a_field_that_says_who_fills_it(each: Element) -> str:
    if each.what != "field" or not (
        each.file.name.endswith(("kind.proto", "resources.proto")) or ".".join(each.path.split(".")[:-1]).endswith("Request")
    ):
        return ""
    return (
        ""
        if re.match(r"(Required|Optional|Output only)\b", each.comment)
        else "does not begin with Required, Optional or Output only"
    )


def is_a_sentence(each: Element) -> str:
    return "" if each.comment.rstrip().endswith((".", "...")) else "does not end with a full stop"


RULES: list[Callable[[Element], str]] = [
    has_a_comment,
    is_named_in_the_manner_of_its_kind,
    is_a_proto3_file_whose_package_is_its_directory,
    has_a_versioned_package,
    is_an_enum_that_begins_with_unspecified,
    is_a_service_named_so,
    has_messages_of_its_own,
    names_messages_that_exist,
    is_a_field_that_says_who_fills_it,
    is_a_sentence,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_everything_in_the_protos(rule: Callable[[Element], str]) -> None:
    assert {each.path: problem for each in ALL if (problem := rule(each))} == {}


def test_the_walk_meets_every_kind_of_thing_and_every_file() -> None:
    whats = [each.what for each in ALL]
    assert set(whats) == {"file", "message", "field", "enum", "enum value", "extension", "service", "rpc"}
    assert {each.path for each in ALL if each.what == "file"} == {
        str(path.relative_to(PROTO)) for path in PROTO.glob("**/*.proto")
    }
    assert whats.count("rpc") == len(rpcs()) == 27
    assert whats.count("service") == 4


BAD = {
    "has_a_comment": "message Bare {}",
    "is_named_in_the_manner_of_its_kind": "// M.\nmessage lower_case {}",
    "is_an_enum_that_begins_with_unspecified": "// E.\nenum E {\n  // A.\n  A = 0;\n}",
    "is_a_service_named_so": "// S.\nservice Wrong {}",
    "is_a_field_that_says_who_fills_it": "// M.\nmessage ThatRequest {\n  // A field.\n  string a = 1;\n}",
    "is_a_sentence": "// No stop\nmessage M {}",
    "is_a_proto3_file_whose_package_is_its_directory": None,
    "has_a_versioned_package": None,
}


@pytest.mark.parametrize(("rule", "text"), BAD.items(), ids=BAD)
def test_a_rule_finds_what_breaks_it(rule: str, text: str | None, tmp_path: Path) -> None:
    (tmp_path / ROOT).mkdir(parents=True)
    package = "vaultd.v1" if text else "vaultd"
    (tmp_path / ROOT / "bad.proto").write_text(f'// F.\nsyntax = "proto3";\npackage {package};\n{text or ""}\n')
    check = next(each for each in RULES if each.__name__ == rule)
    assert any(check(each) for each in elements(tuple(compiled(tmp_path).file)))


def test_protoc_warns_of_an_import_that_is_not_used(tmp_path: Path) -> None:
    # For `compiled` a warning is an error, so that the protos of the project have none.
    (tmp_path / ROOT).mkdir(parents=True)
    head = 'syntax = "proto3";\npackage vaultd.v1;\n'
    (tmp_path / ROOT / "a.proto").write_text(head)
    compiled(tmp_path)
    (tmp_path / ROOT / "b.proto").write_text(head + 'import "vaultd/v1/a.proto";\n')
    with pytest.raises(ValueError, match="unused"):
        compiled(tmp_path)


# --- comments of RPCs -------------------------------------------------------------------------------------------


def error_reasons() -> set[str]:
    prefix = "ERROR_REASON_"
    return {
        each.name.removeprefix(prefix) for each in ALL if each.what == "enum value" and each.name.startswith(prefix)
    }


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_the_comment_of_an_rpc_says_callers_states_idempotence_and_reasons(rpc: Rpc) -> None:
    assert rpc.comment.split("\n")[0].strip().endswith(".")
    assert said(rpc, CALLERS) != [""]
    assert said(rpc, IDEMPOTENT)
    states, every = set(said(rpc, STATES)), {state.value for state in VaultState}
    assert states == ({"UNLOCKED"} if rpc.signed else every)
    reasons = said(rpc, REASONS)
    assert len(set(reasons)) == len(reasons)
    assert set(reasons) <= error_reasons() - {"UNSPECIFIED"} or reasons == ["none"]
    if rpc.signed:
        assert reasons[:3] == ["VAULT_LOCKED", "REQUEST_REFUSED", "PERMISSION_DENIED"]
    else:
        assert said(rpc, CALLERS) == ["anyone"]


def test_a_field_that_holds_plaintext_is_marked_so() -> None:
    fields = [each for each in ALL if each.what == "field" and ".CredentialFields." in each.path]
    assert len(fields) == 12
    assert all(each.descriptor.options.debug_redact for each in fields)
    texts = [each for each in ALL if each.what == "field" and each.descriptor.type != each.descriptor.TYPE_BOOL]
    assert not [each.path for each in texts if "passphrase" in each.name and each not in fields]
