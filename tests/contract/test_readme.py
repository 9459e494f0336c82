"""The README stays true: its help blocks, its two commands, its links.

`python -m tests.contract.test_readme` writes the help blocks anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
_HELP = re.compile(r"<!-- help: ([\w -]+) -->\n```\n(.*?)```\n", re.DOTALL)
_COMMAND = re.compile(r"<!-- command: (\w+) -->\n```sh\n(.*?)\n```\n", re.DOTALL)


def help_of(command: str) -> str:
    """Returns what `command --help` prints on a terminal of 80 columns."""
    program, *rest = command.split()
    path = Path(sys.executable).with_name(program)
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run([path, *rest, "--help"], capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def test_the_readme_has_the_help_of_both_programs() -> None:
    assert [name for name, _ in _HELP.findall(README.read_text())] == ["vaultctl", "vaultd"]


@pytest.mark.parametrize(("command", "shown"), _HELP.findall(README.read_text()))
def test_help_blocks_are_the_real_ones(command: str, shown: str) -> None:
    assert shown == help_of(command)


def test_ci_runs_the_readmes_test_command() -> None:
    commands = dict(_COMMAND.findall(README.read_text()))
    assert set(commands) == {"main", "tests"}
    done = subprocess.run([ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == commands["tests"]


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


if __name__ == "__main__":
    text = _HELP.sub(
        lambda found: f"<!-- help: {found[1]} -->\n```\n{help_of(found[1])}```\n", README.read_text()
    )
    README.write_text(text)
