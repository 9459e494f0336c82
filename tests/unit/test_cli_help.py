"""Every command explains itself, takes --json, and takes no secret as an argument."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from vaultd_client.cli.main import vaultctl
from vaultd_client.cli.parsing import Descriptor

SECRET_WORDS = ("passphrase", "recovery", "secret", "fields", "api", "token", "password")


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from walk(each, (*path, name))


ALL = dict(walk(vaultctl))
COMMANDS = {path: each for path, each in ALL.items() if not isinstance(each, click.Group)}
WANTED = {
    "": "init unlock lock status wait-unlocked doctor metrics quickstart completion reveal run render who",
    "system": "install uninstall check",
    "exchange": "add list show update rotate verify revoke delete",
    "client": "keygen pin allow list update disable enable revoke grant ungrant why confirm",
    "backup": "create keygen verify restore",
    "slot": "list add remove",
    "passphrase": "change",
    "master-key": "rotate",
    "audit": "show verify",
    "unit": "grant list revoke check",
    "kinds": "list show",
    "import": "file list undo",
}


def test_the_tree_has_every_command_and_no_other() -> None:
    assert set(COMMANDS) == {f"{group} {name}".strip() for group, names in WANTED.items() for name in names.split()}


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help(path: str) -> None:
    done = CliRunner().invoke(vaultctl, [*path.split(), "--help"], prog_name="vaultctl")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: vaultctl {path}".rstrip())
    assert ALL[path].help
    assert "\\b" not in done.stdout  # the mark of a block that is not wrapped, where it was not understood


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_every_command_has_help(path: str) -> None:
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


@pytest.mark.parametrize("path", [path for path in ALL if path])
def test_short_help_fits_its_line(path: str) -> None:
    assert not ALL[path].get_short_help_str(limit=66).endswith("...")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_takes_json(path: str) -> None:
    assert "--json" in [option for each in COMMANDS[path].params for option in each.opts]


def takes_text(parameter: click.Parameter) -> bool:
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    return not is_flag and not isinstance(parameter.type, Descriptor)


@pytest.mark.parametrize("path", ALL)
def test_no_command_takes_a_secret_as_an_argument_or_from_the_environment(path: str) -> None:
    parameters = ALL[path].params
    suspicious = [each for each in parameters if any(word in str(each.name) for word in SECRET_WORDS)]
    assert [each.name for each in suspicious if takes_text(each)] == []
    assert [each.name for each in parameters if each.envvar] == []


def test_the_check_for_secrets_sees_descriptors_and_would_see_text() -> None:
    names = {each.name: each for each in ALL["unlock"].params}
    assert not takes_text(names["passphrase_fd"])
    assert takes_text(click.Option(["--passphrase"]))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    done = CliRunner().invoke(vaultctl, ["completion", shell], prog_name="vaultctl")
    assert done.exit_code == 0, done.output
    assert "_VAULTCTL_COMPLETE" in done.stdout


def test_completion_offers_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"_VAULTCTL_COMPLETE": "bash_complete", "COMP_WORDS": "vaultctl exc", "COMP_CWORD": "1"}
    done = CliRunner().invoke(vaultctl, [], prog_name="vaultctl", env=environment)
    assert "exchange" in done.stdout
