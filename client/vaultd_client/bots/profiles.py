"""The bots that `vaultctl run --for` knows: one line each."""

from collections.abc import Mapping

from vaultd_client.bots import ccxt, env, freqtrade, gunbot, hummingbot, jesse, nautilus, octobot, passivbot
from vaultd_client.bots.order import Profile, need_place

PROFILES: Mapping[str, Profile] = {
    "freqtrade": Profile("one more --config", freqtrade.feed, freqtrade.check),
    "freqtrade-env": Profile(
        "FREQTRADE__EXCHANGE__ variables", freqtrade.feed_environment, environment=lambda _command: True
    ),
    "hummingbot": Profile(
        "a private conf/connectors, and a password made up for it",
        hummingbot.feed,
        mounts=True,
        environment=hummingbot.in_environment,
    ),
    "hummingbot-connect": Profile(
        "hbot connect CONNECTOR --keys-stdin", hummingbot.feed_connect, hummingbot.check_connect
    ),
    "octobot": Profile("a private user/config.json", octobot.feed, mounts=True),
    "jesse": Profile("the CSV of its import, at {feed}", jesse.feed, need_place),
    "nautilus": Profile("the variables of its adapters", nautilus.feed, environment=lambda _command: True),
    "passivbot": Profile("a private api-keys.json", passivbot.feed, mounts=True),
    "gunbot": Profile("a private config.js", gunbot.feed, mounts=True),
    "ccxt": Profile("JSON for ccxt's constructors, at {feed}", ccxt.feed, need_place),
    "env": Profile("variables: NAME_FIELD, and vaultd:// references", env.feed, environment=lambda _command: True),
}
