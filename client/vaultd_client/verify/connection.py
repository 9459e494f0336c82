"""A ccxt object for one credential, that sends it to its exchange and nowhere else."""

import re
from typing import Any, Final

import ccxt

_HOST: Final = re.compile(r"https?://[^/]+")
_SWITCHES: Final = {"testnet": ("set_sandbox_mode",), "demo": ("enable_demo_trading", "set_sandbox_mode")}


class NotInCcxtError(Exception):
    """ccxt does not know the kind."""


class NoEnvironmentError(Exception):
    """ccxt has no address for the environment."""


class Connection:
    """One ccxt exchange object. `signing` is true while a request is being signed: what fails then is the credential.

    Args:
        kind: ccxt's id.
        environment: `live`, `testnet` or `demo`.
        credential: ccxt's names to values.
        seconds: How long one answer may take.
        url: Sends everything to this address instead of the exchange's; empty, outside of tests.

    Raises:
        NotInCcxtError, NoEnvironmentError: There is nobody to ask.
    """

    def __init__(self, kind: str, environment: str, credential: dict[str, str], seconds: float, url: str = "") -> None:
        if kind not in ccxt.exchanges:
            raise NotInCcxtError
        self.api: Any = getattr(ccxt, kind)({**credential, "timeout": int(seconds * 1000), "enableRateLimit": False})
        self.signing = False
        _switch(self.api, environment)
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


def _switch(api: Any, environment: str) -> None:
    if environment == "live":
        return
    for switch in _SWITCHES.get(environment, ()):
        if hasattr(api, switch):
            try:
                getattr(api, switch)(True)
            except Exception:  # noqa: BLE001, S112  ccxt says NotSupported, or fails on what it lacks
                continue
            return
    raise NoEnvironmentError


def _moved(urls: Any, url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(value, url) for name, value in urls.items()}
    return _HOST.sub(url, urls) if isinstance(urls, str) else urls
