"""A ccxt object for one credential, that sends it to its exchange and nowhere else."""

import re
from typing import Any, Final

import ccxt

_HOST: Final = re.compile(r"https?://[^/]+")
_SWITCHES: Final = {"set_sandbox_mode", "enable_demo_trading"}
"""All that the catalogue may name: it comes over the open socket when a key is added."""


class NotInCcxtError(Exception):
    """ccxt does not know the kind."""


class NoEnvironmentError(Exception):
    """ccxt has no address for the environment."""


class Connection:
    """One ccxt exchange object. `signing` is true while a request is being signed: what fails then is the credential.

    Built here and not by `integrations.ccxt`, which makes objects of what was revealed: this is also for what is not stored yet.

    Args:
        ccxt_id: ccxt's id of the kind; empty where it has none.
        environment: `live`, `testnet` or `demo`.
        switch: Method that switches to the environment, as the catalogue says; empty where there is none.
        credential: ccxt's names to values.
        seconds: How long one answer may take.
        url: Sends everything to this address instead of the exchange's; empty, outside of tests.

    Raises:
        NotInCcxtError, NoEnvironmentError: There is nobody to ask.
    """

    def __init__(
        self, ccxt_id: str, environment: str, switch: str, credential: dict[str, str], seconds: float, url: str
    ) -> None:
        if ccxt_id not in ccxt.exchanges:
            raise NotInCcxtError
        self.api: Any = getattr(ccxt, ccxt_id)({**credential, "timeout": int(seconds * 1000), "enableRateLimit": False})
        self.signing = False
        _switch(self.api, environment, switch)
        if url:
            self.api.urls["api"] = _moved(self.api.urls["api"], url)
        # A redirect would carry the key and a signature to wherever it points.
        self.api.session.max_redirects = 0
        # The proxies, certificates and .netrc of the environment are not asked.
        self.api.session.trust_env = False
        self.api.enableLastJsonResponse = True
        self._sign = self.api.sign
        self.api.sign = self._watched_sign

    def _watched_sign(self, *arguments: Any, **named: Any) -> Any:
        self.signing = True
        signed = self._sign(*arguments, **named)
        self.signing = False
        return signed

    def call(self, method: str, parameters: dict[str, Any]) -> Any:
        """Calls one of the methods that ccxt makes of the exchange's requests, and returns the parsed answer."""
        return getattr(self.api, method)(parameters)

    def balance(self) -> bool:
        """Asks for the balance; returns whether the answer was JSON: ccxt finds no fault with a web page."""
        self.api.fetch_balance()
        return isinstance(self.api.last_json_response, (dict, list))


def _switch(api: Any, environment: str, switch: str) -> None:
    """Threat: a test key is judged by the live venue, or the other way round. Measure: no switch, no question."""
    if environment == "live":
        return
    if switch not in _SWITCHES:
        raise NoEnvironmentError
    try:
        getattr(api, switch)(True)
    except Exception:  # noqa: BLE001  ccxt says NotSupported, or fails on what it lacks
        raise NoEnvironmentError from None


def _moved(urls: Any, url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(value, url) for name, value in urls.items()}
    return _HOST.sub(url, urls) if isinstance(urls, str) else urls
