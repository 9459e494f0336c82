"""A credential in plaintext, held so that it does not slip out.

Threat: the secret ends up in a log, a traceback, a pickle on disk or a debugger's list of variables without anybody
having asked for it. Measure: repr, str and format say only which credential it is; pickling, copying and JSON are
refused; equality is identity. Limit: the plaintext is in this process's memory, cannot be wiped there (Python's str),
and whoever reads a field has it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from vaultd_api.v1 import exchange_service_pb2, resources_pb2

FIELD_NAMES: tuple[str, ...] = tuple(
    field.name for field in resources_pb2.CredentialFields.DESCRIPTOR.fields if field.name != "extra"
)
"""The fields of a key pair, in the order of resources.proto."""


class SecretFields(Mapping[str, str]):
    """Field name to plaintext. Shows its names and none of its values; is equal only to itself."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretFields({', '.join(self._values)}; hidden)"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        _refuse()

    def __getstate__(self) -> NoReturn:
        _refuse()


class RevealedCredential:
    """One version of one half of an exchange, in plaintext.

    A field is `credential.api_key` or `credential["api_key"]`; `fields` is all of them, `extra` the free entries. A
    field that the credential does not have raises AttributeError or KeyError.

    Args:
        message: The opened reply.
    """

    __slots__ = (
        "_ccxt_names",
        "ccxt_id",
        "ccxt_switch",
        "configuration",
        "environment",
        "exchange",
        "extra",
        "fields",
        "kind",
        "market_types",
        "name",
        "notices",
        "version",
    )

    api_key: str
    secret: str
    passphrase: str
    customer_id: str
    address: str
    private_key: str
    login: str
    password: str
    two_fa: str
    token: str
    account_id: str

    def __init__(self, message: exchange_service_pb2.RevealCredentialResponse) -> None:
        self.exchange: str = message.exchange
        """Id of the exchange."""
        self.name: str = message.name
        self.kind: str = message.kind
        self.environment: str = message.environment
        self.configuration: str = message.configuration
        self.version: int = message.version
        self.market_types: tuple[str, ...] = tuple(message.market_types)
        self.notices: tuple[str, ...] = tuple(message.notices)
        """What a person should know, such as that the venue is gone."""
        self.ccxt_id: str = message.ccxt_id
        """ccxt's id of the kind; empty where ccxt has none."""
        self.ccxt_switch: str = message.ccxt_switch
        """Method of a ccxt object that switches it to `environment`; empty where none is needed, or none exists."""
        given = message.fields
        self.fields: Mapping[str, str] = SecretFields(
            {name: value for name in FIELD_NAMES if (value := getattr(given, name))}
        )
        self.extra: Mapping[str, str] = SecretFields(given.extra)
        self._ccxt_names = dict(message.ccxt_names)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> str:
            if name in FIELD_NAMES:
                try:
                    return self.fields[name]
                except KeyError:
                    has = ", ".join(self.fields)
                    raise AttributeError(f"{self!r} has no {name}; it has {has}") from None
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, name: str) -> str:
        return self.fields[name]

    def ccxt_config(self) -> dict[str, str]:
        """Returns what the constructor of a ccxt exchange takes, such as `{"apiKey": ..., "secret": ...}`.

        The catalogue of kinds says which field has which name there; other fields and free entries are left out.
        """
        known = {**self.extra, **self.fields}
        return {ccxt_name: known[name] for name, ccxt_name in self._ccxt_names.items() if ccxt_name and name in known}

    def __repr__(self) -> str:
        return f"RevealedCredential({self.name}/{self.configuration} v{self.version}, hidden)"

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        _refuse()

    def __getstate__(self) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError("a revealed credential cannot be pickled or copied: reveal it again where it is needed")
