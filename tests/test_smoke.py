from tests.support.daemon import READ_PAIR, Daemon


def test_an_allowed_bot_gets_what_was_stored(vault: Daemon) -> None:
    with vault.client(vault.add_bot()) as bot:
        assert bot.reveal("binance-main", "read")["secret"] == READ_PAIR["secret"]
