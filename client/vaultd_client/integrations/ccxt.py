"""A ccxt exchange object, made of what the vault reveals.

from vaultd_client.integrations import ccxt

exchange = ccxt.exchange("binance-main", "read", flavour="async")

What decides where the key goes (class, environment, market type) comes from the sealed, signed answer that the key
itself came in, never from the open list, which anybody who took the socket's place could have made up.
"""

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from vaultd_client.errors import UnsupportedError, invalid
from vaultd_client.revealed import RevealedCredential

if TYPE_CHECKING:
    from vaultd_client.client import VaultClient

Flavour = Literal["sync", "async", "pro"]

LIVE: Final = "live"
MARKET_TYPES: Final = frozenset({"spot", "margin", "swap", "future", "option"})
"""Those that ccxt's `defaultType` takes; an exchange in the vault may name others, such as `binance_margin`."""
CREDENTIALS: Final = frozenset(
    {
        "apiKey",
        "secret",
        "uid",
        "accountId",
        "login",
        "password",
        "twofa",
        "privateKey",
        "walletAddress",
        "token",
    }
)
"""The names of ccxt's `requiredCredentials`."""

_MODULES: dict[str, str] = {"sync": "ccxt", "async": "ccxt.async_support", "pro": "ccxt.pro"}


def exchange(
    name: str,
    configuration: str = "read",
    *,
    flavour: Flavour = "sync",
    vault: "VaultClient | None" = None,
    **options: Any,
) -> Any:
    """Asks the vault and returns a ccxt exchange that is ready for use.

    Inside an event loop rather use `await AsyncVaultClient().ccxt(...)`: this waits for the vault without yielding.

    Args:
        name: Name, id or resource name of the exchange in the vault.
        configuration: `read` or `write`.
        flavour: `sync` (`ccxt`), `async` (`ccxt.async_support`) or `pro` (`ccxt.pro`, with WebSockets).
        vault: Client to ask with; where None, one is made that finds socket and key by itself, and closed again.
        options: See `build`.

    Raises:
        UnsupportedError: See `load` and `build`.
        VaultClientError: Of `VaultClient.reveal`.
    """
    from vaultd_client.client import VaultClient  # which imports this module

    load(flavour)
    if vault is not None:
        return build(vault.reveal(name, configuration), flavour, **options)
    with VaultClient() as own:
        return build(own.reveal(name, configuration), flavour, **options)


def load(flavour: Flavour) -> ModuleType:
    """Imports ccxt, which takes about a second, and returns the module of that flavour.

    Call it before plaintext is asked for, so that none is revealed for nothing.

    Raises:
        InvalidError: There is no such flavour.
        UnsupportedError: ccxt is not installed.
    """
    if flavour not in _MODULES:
        raise invalid({"flavour": f"must be one of {', '.join(get_args(Flavour))}"})
    if importlib.util.find_spec("ccxt") is None:
        raise UnsupportedError("ccxt is not installed", reason="NOT_INSTALLED")
    return importlib.import_module(_MODULES[flavour])


def build(credential: RevealedCredential, flavour: Flavour = "sync", **options: Any) -> Any:
    """Returns the ccxt exchange of a credential: a plain object of ccxt's own class.

    1. The class is that of the credential's kind.
    2. `options` go to its constructor. A market type that the exchange alone names becomes `defaultType`, unless
       `options` say otherwise.
    3. Where the environment is not `live`, the object is switched to it, or refused.
    4. The credentials are set last: no step that can fail has them in a traceback's variables.

    Threat: the key shows up in ccxt's own output. Measure: `repr`, `str` and exceptions of ccxt do not hold it. Limit:
    `verbose=True` prints the headers with the API key (on some venues with passphrase or secret) and `vars(exchange)`
    has everything, exactly as for an object that was made by hand.

    Raises:
        InvalidError: `options` hold a credential, which is the vault's to give.
        UnsupportedError: The venue is gone, or ccxt lacks the kind, its WebSockets or its environment.
    """
    if given := CREDENTIALS & options.keys():
        raise invalid(dict.fromkeys(sorted(given), "comes from the vault"))
    made = _class_of(credential, flavour)(_with_default_type(credential, options))
    _switch(made, credential)
    for name, value in credential.ccxt_config().items():
        setattr(made, name, value)
    return made


def _class_of(credential: RevealedCredential, flavour: Flavour) -> Any:
    module = load(flavour)
    if not credential.ccxt_id:
        said = "; ".join(credential.notices) or f"{credential.name} is of kind {credential.kind}, which ccxt does not know"
        raise UnsupportedError(said, metadata={"kind": credential.kind})
    if credential.ccxt_id in module.exchanges:
        return getattr(module, credential.ccxt_id)
    version = importlib.import_module("ccxt").__version__
    if flavour == "pro" and credential.ccxt_id in load("async").exchanges:
        raise UnsupportedError(
            f"ccxt.pro {version} has no WebSockets for {credential.ccxt_id}",
            metadata={"kind": credential.kind},
            hint='take flavour="async", which has the same calls without them',
        )
    raise UnsupportedError(
        f"the installed ccxt {version} does not know {credential.ccxt_id}",
        metadata={"kind": credential.kind},
        hint="pip install --upgrade ccxt",
    )


def _with_default_type(credential: RevealedCredential, options: dict[str, Any]) -> dict[str, Any]:
    """Several market types say nothing of which is meant where a call names none: then ccxt's default stays."""
    known = [each for each in credential.market_types if each in MARKET_TYPES]
    if len(known) != 1:
        return options
    return {**options, "options": {"defaultType": known[0], **(options.get("options") or {})}}


def _switch(made: Any, credential: RevealedCredential) -> None:
    """Threat: a test key's orders go to the live venue. Measure: what cannot be switched is not handed out."""
    if credential.environment == LIVE:
        return
    switch = getattr(made, credential.ccxt_switch or "no switch", None)
    try:
        if switch is None:
            raise NotImplementedError
        switch(True)
    except (NotImplementedError, importlib.import_module("ccxt").NotSupported, KeyError, TypeError):
        # The last two: ccxt looks the test address up, or copies it, without asking whether there is one.
        raise UnsupportedError(
            f"{credential.name} belongs to the {credential.environment} of {credential.kind}, which ccxt cannot reach",
            metadata={"kind": credential.kind, "environment": credential.environment},
        ) from None
