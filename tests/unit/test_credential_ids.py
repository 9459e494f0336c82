"""The ids of systemd credentials: what each asks for, and what asks for nothing."""

import pytest

from vaultd.errors import RecordInvalidError
from vaultd.keyholder.credential_ids import CLIENT_KEY, FORMS, Wanted, parse


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_asked_for_with_and_without_a_half(form: str) -> None:
    assert parse(f"main.{form}") == Wanted("main", "", form)
    assert parse(f"main.write.{form}") == Wanted("main", "write", form)


@pytest.mark.parametrize(
    ("credential", "wanted"),
    [
        ("binance.json", Wanted("binance", "", "json")),
        ("my.odd name.v2.read.json", Wanted("my.odd name.v2", "read", "json")),
        ("a.read.read.env", Wanted("a.read", "read", "env")),
        ("read.json", Wanted("read", "", "json")),
        ("main.ccxt.json", Wanted("main", "", "ccxt.json")),
        ("ex-aaaaa-bbbbb-ccccccccccccccc.read.api_key", Wanted("ex-aaaaa-bbbbb-ccccccccccccccc", "read", "api_key")),
    ],
)
def test_an_id_is_read_from_the_right(credential: str, wanted: Wanted) -> None:
    assert parse(credential) == wanted


@pytest.mark.parametrize("credential", ["", ".json", "json", "main", "main.", "main.yaml", "main.JSON", "main.extra", "api_key", CLIENT_KEY])
def test_what_has_no_form_is_refused(credential: str) -> None:
    with pytest.raises(RecordInvalidError):
        parse(credential)
