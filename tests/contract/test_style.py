"""The shape of the project: tools clean, files that one can read in a sitting, promises that name a test that exists."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED = ("vaultd", "client/vaultd_client", "client/examples", "proto", "tests")
LONGEST = 400
READ = {".py", ".proto", ".md", ".toml", ".service", ".socket", ".sql", ".conf", ".sh", ".mjs", ""}
"""Endings of what a person reads; the rest is data."""
GENERATED = ROOT / "client" / "vaultd_api"
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
PAGES = ("proto/README.md", "vaultd/THREAT_MODEL.md", "vaultd/crypto/FORMAT.md", "tests/vectors/README.md")
NAMED = re.compile(r"\b(tests/[\w/]+\.py)(?:::(\w+))?")


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


def written() -> Iterator[Path]:
    """Every file of the project that a person wrote and another reads."""
    tops = [path for path in ROOT.iterdir() if path.is_file() or not path.name.startswith(".") or path.name == ".ci"]
    for top in tops:
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inside = path.relative_to(ROOT)
            hidden = {"__pycache__", "build", "dist", "node_modules"} & {*inside.parts} or any(
                part.endswith("-info") for part in inside.parts
            )
            if path.is_file() and not hidden and GENERATED not in path.parents and path.suffix in READ:
                yield path


def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


# --- tools ------------------------------------------------------------------------------------------------------


def test_ruff_is_clean() -> None:
    done = tool("ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
def test_mypy_is_clean() -> None:
    done = tool("mypy", *CHECKED)
    assert done.returncode == 0, done.stdout


def test_both_tools_find_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text('"""Doc."""\n\n\ndef f(x):\n    return x + 1\n\n\ny: str = 1\n')
    found = tool("ruff", "check", "--no-cache", "--config", "pyproject.toml", str(bad))
    assert found.returncode == 1
    assert "ANN001" in found.stdout
    found = tool("mypy", "--config-file", "pyproject.toml", "--cache-dir", str(tmp_path / "cache"), str(bad))
    assert found.returncode == 1
    assert "[no-untyped-def]" in found.stdout
    assert "[assignment]" in found.stdout


def test_a_check_that_is_switched_off_says_which() -> None:
    bare = re.compile(r"#\s*(noqa|type:\s*ignore)(?!\s*[:\[])")
    own = Path(__file__)
    found = [str(path) for path in written() if path.suffix == ".py" and path != own and bare.search(path.read_text())]
    assert found == []
    assert bare.search("x = 1  # noqa")
    assert not bare.search("x = 1  # noqa: S101  because")


# --- files ------------------------------------------------------------------------------------------------------


def test_no_file_is_too_long_to_read_in_a_sitting() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in written()}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in written()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []
    assert UNFINISHED.search("# TO" + "DO: later")


def test_the_walk_over_the_files_meets_all_parts() -> None:
    found = {str(path.relative_to(ROOT)) for path in written()}
    assert {
        "README.md",
        "pyproject.toml",
        "proto/vaultd/v1/errors.proto",
        "vaultd/crypto/FORMAT.md",
        "vaultd/crypto/aead.py",
        "client/vaultd_client/wire.py",
        "tests/contract/test_style.py",
        ".ci/run",
    } <= found
    assert not [path for path in found if "_pb2" in path or "__pycache__" in path]


# --- pages that name tests --------------------------------------------------------------------------------------


def named_tests(page: str) -> list[tuple[str, str]]:
    """Each `tests/...py` and `tests/...py::name` of a page."""
    return NAMED.findall((ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = named_tests(page)
    assert named
    missing = [
        f"{file}::{name}" if name else file
        for file, name in named
        if not (ROOT / file).is_file() or (name and name not in functions_of(ROOT / file))
    ]
    assert missing == []


def promises() -> dict[str, str]:
    """Number to line of each promise of the threat model, `P1`, `P2` ..."""
    lines = (ROOT / "vaultd" / "THREAT_MODEL.md").read_text().splitlines()
    found = [(match[1], line) for line in lines if (match := re.match(r"\W*\b(P\d+)\b", line))]
    assert len(dict(found)) == len(found), "a number is used twice"
    return dict(found)


def test_every_promise_of_the_threat_model_names_its_test() -> None:
    assert promises()
    assert [number for number, line in promises().items() if not any(name for _, name in NAMED.findall(line))] == []


def test_the_promises_are_numbered_without_a_gap() -> None:
    numbers = [int(number[1:]) for number in promises()]
    assert numbers
    assert numbers == list(range(1, len(numbers) + 1))
