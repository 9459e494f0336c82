"""What the catalogue says of one kind of exchange. Frozen values; no input, no output."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

EXTRA = "extra"
"""Free entries, allowed on every kind, as `extra` or `extra.NAME`."""


class Need(StrEnum):
    """What a field asks of the person who fills it."""

    REQUIRED = "required"
    """Refused when missing."""
    EXPECTED = "expected"
    """Asked for; may stay empty, with a notice."""
    OPTIONAL = "optional"
    """Accepted."""


class Encoding(StrEnum):
    """How the value of a field is written."""

    TEXT = "text"
    BASE64 = "base64"
    BASE58 = "base58"
    HEX = "hex"
    PEM = "pem"


class Algorithm(StrEnum):
    """What a private key in PEM signs with, by the names that the keyholder has for them."""

    ED25519 = "Ed25519"
    RSA = "RSA"
    P256 = "EC P-256"


class ReadablePath(StrEnum):
    """Whether the path of a request can be read in what is signed: only then can a rule on paths be enforced."""

    PLAIN = "plain"
    """In every signed request."""
    BASE64 = "base64"
    """In every signed request, inside base64."""
    PARTIAL = "partial"
    """In some signed requests; the others could be sent to any path that takes their parameters."""
    NONE = "none"
    UNKNOWN = "unknown"
    """Not measured: the request is not signed as one text, or not by ccxt."""


class CountsFrom(StrEnum):
    """What starts the days of an expiry rule."""

    CREATION = "creation"
    """Making the key: the vault knows when it was stored, which is no earlier."""
    USE = "use"
    """The last use: a bot that runs keeps the key alive."""
    EVENT = "event"
    """Something at the venue that nobody else sees."""


class TombstoneState(StrEnum):
    """Why a kind is no longer of use for new keys."""

    CLOSED = "closed"
    """The venue has closed or said when it will."""
    UNSUPPORTED = "unsupported"
    """The venue may live, but the libraries that bots use do not know it."""


class Evidence(StrEnum):
    """Where knowledge of an endpoint comes from, strongest first."""

    DOCS = "docs"
    SDK = "sdk"
    SAMPLE = "sample"
    THIRD_PARTY = "third-party"
    LISTED = "listed"
    """ccxt lists the endpoint; its answer was not seen."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a key pair.

    `name` is one of the project's names; `ccxt_name` is what ccxt's constructors call it, empty where ccxt does not
    take it for this kind. `aliases` are names of other programs; `maskable` says whether a mask may show parts of the
    value. `verbatim`: a person made the value up, so that blanks and any letter may be meant; the others are cleaned.
    `help` tells a person what it is, `notice_when_given` is said when it is given all the same.
    """

    name: str
    need: Need
    ccxt_name: str
    aliases: tuple[str, ...]
    maskable: bool
    verbatim: bool = False
    help: str = ""
    notice_when_given: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """One form that a value may have: `text` for a person, `pattern` a regular expression for the whole value.

    `algorithm` is what a PEM must hold; only PEM has one.
    """

    text: str
    pattern: str = ""
    encoding: Encoding = Encoding.TEXT
    algorithm: Algorithm | None = None


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """The forms of one field, any of which will do.

    A value that fits no pattern deserves a warning. Where `refuse` is set, ccxt decodes the value before it signs: one
    that cannot be decoded as any of the encodings is of no use and is refused. So is, with or without `refuse`, a key
    in PEM of an algorithm that none of the forms has. `forms.py` is where this is judged.
    """

    field: str
    any_of: tuple[Shape, ...]
    source: str
    refuse: bool = False


@dataclass(frozen=True, slots=True)
class PermissionsEndpoint:
    """The requests that tell what a key may do.

    `requests` and `ccxt` (methods of the ccxt class) go pairwise, in the order of the calls. The other tuples name
    what to look at in the answer; empty means that it does not say. `whole_account`: the answer speaks of the account,
    not of the key. `answer_holds_secrets`: the answer must never be logged or kept.
    """

    requests: tuple[str, ...]
    ccxt: tuple[str, ...]
    evidence: Evidence
    read: tuple[str, ...] = ()
    trade: tuple[str, ...] = ()
    withdraw: tuple[str, ...] = ()
    transfer: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    expiry: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    source: str = ""
    whole_account: bool = False
    answer_holds_secrets: bool = False


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule by which keys end: after `days`, `when` this holds, with this `effect`. `certain` is False for hearsay.

    The same for programs: the days count from `counts_from`; `unless_ip_bound` keys that are bound to an address are
    spared; `rights`, where there are any, are those of which the key must have one.
    """

    days: int
    when: str
    effect: str
    source: str
    counts_from: CountsFrom
    certain: bool = True
    unless_ip_bound: bool = False
    rights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A kind for which new keys make no sense. What is stored stays readable, exportable and deletable."""

    state: TombstoneState
    note: str
    replaced_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of exchange.

    `kind` is the identifier: ccxt's id where ccxt knows the venue (then `in_ccxt`). `aliases` resolve silently,
    `old_names` with a notice. `fields` are in the order a form asks for them. `environments` begins with `live`;
    `ccxt_switches` gives the method of a ccxt object that switches to an environment, empty where there is none.
    `free_fields`: any field name is accepted. `guide` names the entry for `vaultd.kinds.guides`.
    """

    kind: str
    display_name: str
    website: str
    fields: tuple[Field, ...]
    market_types: tuple[str, ...]
    environments: tuple[str, ...]
    guide: str
    readable_path: ReadablePath
    ccxt_switches: Mapping[str, str] = field(hash=False)
    in_ccxt: bool = False
    aliases: tuple[str, ...] = ()
    old_names: tuple[str, ...] = ()
    free_fields: bool = False
    rising_nonce: bool = False
    passphrase_in_clear: bool = False
    key_formats: tuple[KeyFormat, ...] = ()
    permissions_endpoint: PermissionsEndpoint | None = None
    expiry: tuple[Expiry, ...] = ()
    tombstone: Tombstone | None = None

    @property
    def replaced_by(self) -> tuple[str, ...]:
        """Returns the kinds that took the place of this one; empty for a living one."""
        return self.tombstone.replaced_by if self.tombstone else ()

    @property
    def tombstone_notice(self) -> str:
        """Returns what a person should hear of a kind that is gone; empty for a living one."""
        if self.tombstone is None:
            return ""
        return f"{self.display_name}: {self.tombstone.note}. Stored keys can be read, exported and deleted"

    @property
    def required(self) -> tuple[str, ...]:
        """Returns the names of the required fields."""
        return tuple(entry.name for entry in self.fields if entry.need is Need.REQUIRED)

    @property
    def ccxt_names(self) -> dict[str, str]:
        """Returns field name to the name that ccxt's constructors take, for the fields that ccxt takes."""
        return {entry.name: entry.ccxt_name for entry in self.fields if entry.ccxt_name}

    def field(self, name: str) -> Field | None:
        """Returns the field of that name, or None."""
        return next((entry for entry in self.fields if entry.name == name), None)

    def canonical(self, name: str) -> str | None:
        """Maps a name that another program uses (`apiKey`, `api-secret`, `uid`) to the field's; None where unknown.

        Letters' case and punctuation do not count. A field's own name goes before any alias, so that `password` is the
        login's password where the kind has one, and the passphrase elsewhere.
        """
        if name == EXTRA or name.startswith(EXTRA + "."):
            return name
        wanted = folded(name)
        for entry in self.fields:
            if folded(entry.name) == wanted:
                return entry.name
        for entry in self.fields:
            if any(folded(alias) == wanted for alias in entry.aliases):
                return entry.name
        return None

    def check_names(self, given: Collection[str]) -> dict[str, str]:
        """Returns field name to what is wrong with it: missing though required, or unknown. Empty when all is well.

        Args:
            given: Names of the fields that have a value, the project's names only; `extra` and `extra.NAME` pass.
        """
        problems = {name: f"is required by {self.display_name}" for name in self.required if name not in given}
        if not self.free_fields:
            known = {entry.name for entry in self.fields}
            for name in given:
                if name not in known and name != EXTRA and not name.startswith(EXTRA + "."):
                    problems[name] = f"is not a field of {self.display_name}"
        return problems

    def notices(self, given: Collection[str]) -> list[str]:
        """Returns what a person should hear of these field names although nothing is wrong."""
        found = []
        for entry in self.fields:
            if entry.need is Need.EXPECTED and entry.name not in given:
                found.append(f"{entry.name} is empty, though {self.display_name} expects it: {entry.help}")
            if entry.notice_when_given and entry.name in given:
                found.append(f"{entry.name}: {entry.notice_when_given}")
        return found


def folded(name: str) -> str:
    """Returns a name without case and punctuation, to compare by: `CEX.IO` and `cex_io` are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
