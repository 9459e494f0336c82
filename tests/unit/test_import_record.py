"""What an import leaves of itself, so that it can be undone."""

from pathlib import Path

import pytest

from vaultd_client.imports import record

VAULT = bytes(16)


def test_the_last_import_is_the_last_even_of_many_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = [record.new(VAULT, "keys.json", "generic", {}) for _ in range(20)]
    for each in made:
        each.save()
    assert [each.id for each in record.of_vault(VAULT)] == [each.id for each in reversed(made)]
