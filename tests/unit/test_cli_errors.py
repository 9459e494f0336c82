"""What goes wrong becomes one line, a hint and an exit code that scripts may rely on; never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vaultd_api.v1 import errors_pb2
from vaultd_client.cli import exit_codes, kinds
from vaultd_client.cli.exit_codes import BY_REASON, MEANINGS, ExitCode, exit_code
from vaultd_client.cli.main import run
from vaultd_client.errors import BY_REASON as LIBRARY_REASONS
from vaultd_client.errors import error_for

REASONS = [name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()]  # noqa: SIM118


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("VAULTD_KEY", str(tmp_path / "client.key"))
    monkeypatch.delenv("VAULTD_SOCKET", raising=False)
    monkeypatch.delenv("VAULTD_UNLOCK_SOCKET", raising=False)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_protocol_has_an_exit_code(reason: str) -> None:
    assert reason in BY_REASON


def test_every_reason_of_the_library_has_an_exit_code_and_no_other() -> None:
    assert set(BY_REASON) == set(LIBRARY_REASONS)


def test_a_reason_of_a_newer_daemon_is_an_internal_error() -> None:
    assert exit_code("SOMETHING_NEW") is ExitCode.INTERNAL


def test_exit_codes_are_frozen() -> None:
    assert " ".join(f"{code.name}={code.value}" for code in ExitCode) == (
        "OK=0 INTERNAL=1 USAGE=2 NOT_RUNNING=3 LOCKED=4 UNINITIALIZED=5 REFUSED=6 INVALID=7 NOT_FOUND=8 CONFLICT=9 "
        "WRONG_PASSPHRASE=10 STORE=11 WRONG_VAULT=12 TIMED_OUT=13 NOT_ASKED=14 UNHEALTHY=15 NOT_EXECUTABLE=126 "
        "NO_COMMAND=127 INTERRUPTED=130"
    )


@pytest.mark.parametrize("code", ExitCode)
def test_help_ends_with_every_exit_code(code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    table = capsys.readouterr().out.partition("Exit codes:")[2]
    assert f"{code.value:>3}  {MEANINGS[code]}" in table


def test_not_running_locked_refused_invalid_and_not_found_differ() -> None:
    reasons = ("NOT_RUNNING", "VAULT_LOCKED", "PERMISSION_DENIED", "RECORD_INVALID", "EXCHANGE_NOT_FOUND")
    assert len({exit_codes.exit_code(reason) for reason in reasons}) == len(reasons)


def test_an_error_is_one_line_and_a_hint_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exchange", "list"]) == ExitCode.NOT_RUNNING
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["vaultctl", "hint"]
    assert lines[1] == "hint: start it with: vaultd; as a service: sudo systemctl start vaultd"


@pytest.mark.parametrize("arguments", [["exchange", "list", "--json"], ["--json", "exchange", "list"]])
def test_with_json_an_error_is_one_document_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.NOT_RUNNING
    shown = capsys.readouterr()
    assert shown.err == ""
    document = json.loads(shown.out)
    assert list(document) == ["error", "error_description", "error_attributes", "hint", "metadata"]
    assert document["error"] == "not_running"
    assert document["error_attributes"] == {}


def test_fields_at_fault_are_lists_in_the_json_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_for("RECORD_INVALID", "Invalid parameters", fields={"api_key": "This account is already connected!"})
    monkeypatch.setattr(kinds.list_kinds, "callback", raising(error))
    assert run(["kinds", "list", "--json"]) == ExitCode.INVALID
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == "record_invalid"
    assert document["error_description"] == "Invalid parameters"
    assert document["error_attributes"] == {"api_key": ["This account is already connected!"]}


def test_fields_at_fault_are_named_on_the_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_for("RECORD_INVALID", "Invalid parameters", fields={"api_key": "This account is already connected!"})
    monkeypatch.setattr(kinds.list_kinds, "callback", raising(error))
    assert run(["kinds", "list"]) == ExitCode.INVALID
    first, second = capsys.readouterr().err.splitlines()
    assert first == "vaultctl: Invalid parameters; api_key: This account is already connected!"
    assert second.startswith("hint: ")


def test_a_defect_shows_its_place_and_neither_traceback_nor_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kinds.list_kinds, "callback", raising(ValueError("canary-secret-5d1c")))
    assert run(["kinds", "list"]) == ExitCode.INTERNAL
    shown = capsys.readouterr()
    assert shown.err.startswith("vaultctl: internal error: ValueError at test_cli_errors.py:")
    assert "canary-secret-5d1c" not in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_an_error_of_the_system_is_named_and_its_file_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kinds.list_kinds, "callback", raising(OSError(24, "x", "canary-path")))
    assert run(["kinds", "list"]) == ExitCode.INTERNAL
    shown = capsys.readouterr().err
    assert shown.startswith("vaultctl: internal error: OSError (Too many open files) at test_cli_errors.py:")
    assert "canary-path" not in shown


def test_control_characters_of_an_error_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kinds.list_kinds, "callback", raising(error_for("INTERNAL", "a\x1b[2Jb\nc")))
    assert run(["kinds", "list"]) == ExitCode.INTERNAL
    assert "vaultctl: a\\x1b[2Jb\\x0ac\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nonsense"], "vaultctl --help"),
        (["exchange", "nonsense"], "vaultctl exchange --help"),
        (["reveal"], "vaultctl reveal --help"),
        (["reveal", "x", "--configuration", "both"], "vaultctl reveal --help"),
        (["unlock", "--passphrase-fd", "x"], "vaultctl unlock --help"),
        (["unlock", "--recovery", "--passphrase-fd", "0"], "one secret opens the vault"),
        (["exchange", "update", "x"], "vaultctl exchange update --help"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_where_help_is(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == f"hint: {hint}"


def test_wrong_usage_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reveal", "--json"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"] == "usage"


def raising(error: Exception) -> Callable[..., None]:
    def callback(*_arguments: object, **_options: object) -> None:
        raise error

    return callback


@pytest.mark.parametrize("arguments", [["completion"], ["reveal", "main"], ["exchange", "rotate", "main"]])
def test_an_error_of_usage_that_lists_choices_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == ExitCode.USAGE
    first, second = capsys.readouterr().err.splitlines()
    assert "Choose from: " in first
    assert "\\x" not in first
    assert second.startswith("hint: vaultctl ")


def test_an_error_about_a_file_names_the_file_and_the_option_that_was_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{")
    add = ["exchange", "add", "main", "--kind", "kraken"]
    assert run([*add, "--from-file", str(path)]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"vaultctl: --from-file: {path}: that is not JSON\n")
    assert run([*add, "--from-file", str(path), "--from-stdin"]) == ExitCode.USAGE
    assert "--from-stdin and --from-file exclude each other" in capsys.readouterr().err
