"""The catalogue's entry for one kind of exchange, as frozen values. `proto/vaultd/v1/kind.proto` says more of each part.

Words such as REQUIRED are the names of the enums there without their prefix; one of a newer daemon is its number in text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vaultd_api.v1 import kind_pb2
from vaultd_client.messages import enum_name


@dataclass(frozen=True, slots=True)
class Form:
    """One form that a value may have: `text` for a person, `pattern` a regular expression for the whole value.

    `encoding` is TEXT, BASE64, BASE58, HEX or PEM; `algorithm` is what a PEM must hold, empty elsewhere.
    """

    text: str
    pattern: str
    encoding: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class KindField:
    """One field of a kind. `need` is REQUIRED, EXPECTED or OPTIONAL; `ccxt_name` is empty where ccxt has none.

    A value fits any of `forms`, of which there may be none; where `must_decode`, one that cannot be decoded as any of
    them is refused. `verbatim`: stored to the letter, blanks and all.
    """

    name: str
    need: str
    ccxt_name: str
    aliases: tuple[str, ...]
    maskable: bool
    verbatim: bool = False
    help: str = ""
    notice_when_given: str = ""
    forms: tuple[Form, ...] = ()
    must_decode: bool = False
    forms_source: str = ""

    @classmethod
    def from_proto(cls, message: kind_pb2.Kind.Field) -> "KindField":
        """Builds it from the message of that name."""
        return cls(
            name=message.name,
            need=enum_name(kind_pb2.Kind.Need, message.need, "NEED_"),
            ccxt_name=message.ccxt_name,
            aliases=tuple(message.aliases),
            maskable=message.maskable,
            verbatim=message.verbatim,
            help=message.help,
            notice_when_given=message.notice_when_given,
            forms=tuple(
                Form(
                    form.text,
                    form.pattern,
                    enum_name(kind_pb2.Kind.Encoding, form.encoding, "ENCODING_"),
                    form.algorithm,
                )
                for form in message.forms
            ),
            must_decode=message.must_decode,
            forms_source=message.forms_source,
        )


@dataclass(frozen=True, slots=True)
class PermissionsEndpoint:
    """The requests that tell what a key may do, pairwise with ccxt's methods, and what to look at in the answer.

    `evidence` is DOCS, SDK, SAMPLE, THIRD_PARTY or LISTED, strongest first. `whole_account`: the answer speaks of the
    account, not of the key. `answer_holds_secrets`: it must never be logged or kept.
    """

    requests: tuple[str, ...]
    ccxt_methods: tuple[str, ...]
    evidence: str
    read: tuple[str, ...]
    trade: tuple[str, ...]
    withdraw: tuple[str, ...]
    transfer: tuple[str, ...]
    ip: tuple[str, ...]
    expiry: tuple[str, ...]
    other: tuple[str, ...]
    source: str
    whole_account: bool
    answer_holds_secrets: bool

    @classmethod
    def from_proto(cls, message: kind_pb2.Kind.PermissionsEndpoint) -> "PermissionsEndpoint":
        """Builds it from the message of that name."""
        return cls(
            requests=tuple(message.requests),
            ccxt_methods=tuple(message.ccxt_methods),
            evidence=enum_name(kind_pb2.Kind.Evidence, message.evidence, "EVIDENCE_"),
            read=tuple(message.read),
            trade=tuple(message.trade),
            withdraw=tuple(message.withdraw),
            transfer=tuple(message.transfer),
            ip=tuple(message.ip),
            expiry=tuple(message.expiry),
            other=tuple(message.other),
            source=message.source,
            whole_account=message.whole_account,
            answer_holds_secrets=message.answer_holds_secrets,
        )


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule by which keys end: after `days`, `when` this holds, with this `effect`. `certain` is False for hearsay.

    The days count from CREATION, USE or EVENT; `unless_ip_bound` keys that are bound to an address are spared; `rights`,
    where there are any, are those of which the key must have one.
    """

    days: int
    when: str
    effect: str
    source: str
    counts_from: str
    certain: bool
    unless_ip_bound: bool
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What became of a kind that is gone. `state` is CLOSED or UNSUPPORTED."""

    state: str
    note: str
    replaced_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """How to create a key: least rights of a `read` and of a `write` key, those it should `never` have, and the way."""

    title: str
    page: str
    before: tuple[str, ...]
    steps: tuple[str, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]
    never: tuple[str, ...]
    ip: str
    after: tuple[str, ...]
    instead: tuple[str, ...]
    sources: tuple[str, ...]

    @classmethod
    def from_proto(cls, message: kind_pb2.Kind.Guide) -> "Guide":
        """Builds it from the message of that name."""
        return cls(
            title=message.title,
            page=message.page,
            before=tuple(message.before),
            steps=tuple(message.steps),
            read=tuple(message.read),
            write=tuple(message.write),
            never=tuple(message.never),
            ip=message.ip,
            after=tuple(message.after),
            instead=tuple(message.instead),
            sources=tuple(message.sources),
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of exchange in the catalogue. Empty `market_types` means any.

    `aliases` and `old_names` resolve to it, the latter with a notice. `ccxt_switches` maps an environment to the method
    that switches a ccxt object to it. `rising_nonce`: two programs that share one key disturb each other.
    `readable_path` is PLAIN, BASE64, PARTIAL, NONE or UNKNOWN. `notice` is what a person should hear first.
    """

    resource_name: str
    kind: str
    display_name: str
    aliases: tuple[str, ...]
    old_names: tuple[str, ...]
    website: str
    in_ccxt: bool
    fields: tuple[KindField, ...]
    free_fields: bool
    market_types: tuple[str, ...]
    environments: tuple[str, ...]
    ccxt_switches: Mapping[str, str]
    rising_nonce: bool
    passphrase_in_clear: bool
    readable_path: str
    permissions_endpoint: PermissionsEndpoint | None
    expiry: tuple[Expiry, ...]
    tombstone: Tombstone | None
    guide: Guide
    notice: str

    @classmethod
    def from_proto(cls, message: kind_pb2.Kind) -> "Kind":
        """Builds it from the message of that name."""
        endpoint = message.permissions_endpoint if message.HasField("permissions_endpoint") else None
        gone = message.tombstone if message.HasField("tombstone") else None
        return cls(
            resource_name=message.resource_name,
            kind=message.kind,
            display_name=message.display_name,
            aliases=tuple(message.aliases),
            old_names=tuple(message.old_names),
            website=message.website,
            in_ccxt=message.in_ccxt,
            fields=tuple(KindField.from_proto(field) for field in message.fields),
            free_fields=message.free_fields,
            market_types=tuple(message.market_types),
            environments=tuple(message.environments),
            ccxt_switches=dict(message.ccxt_switches),
            rising_nonce=message.rising_nonce,
            passphrase_in_clear=message.passphrase_in_clear,
            readable_path=enum_name(kind_pb2.Kind.ReadablePath, message.readable_path, "READABLE_PATH_"),
            permissions_endpoint=PermissionsEndpoint.from_proto(endpoint) if endpoint else None,
            expiry=tuple(
                Expiry(
                    rule.days,
                    rule.when,
                    rule.effect,
                    rule.source,
                    enum_name(kind_pb2.Kind.CountsFrom, rule.counts_from, "COUNTS_FROM_"),
                    rule.certain,
                    rule.unless_ip_bound,
                    tuple(rule.rights),
                )
                for rule in message.expiry
            ),
            tombstone=Tombstone(
                enum_name(kind_pb2.Kind.TombstoneState, gone.state, "TOMBSTONE_STATE_"),
                gone.note,
                tuple(gone.replaced_by),
            )
            if gone
            else None,
            guide=Guide.from_proto(message.guide),
            notice=message.notice,
        )

    def canonical(self, name: str) -> str | None:
        """Returns the field that a name of any program means; None where it means none of this kind.

        Case and punctuation do not count. A field's own name goes before any alias: `password` is the login's where the
        kind has one, and ccxt's name of the passphrase elsewhere.
        """
        wanted = folded(name)
        for field in self.fields:
            if folded(field.name) == wanted:
                return field.name
        return next((field.name for field in self.fields if wanted in map(folded, field.aliases)), None)

    def called(self, name: str) -> bool:
        """Says whether `name` is part of one of its names, without regard to case and punctuation."""
        wanted = folded(name)
        return any(wanted in folded(each) for each in (self.kind, self.display_name, *self.aliases, *self.old_names))


def folded(name: str) -> str:
    """Returns a name without case and punctuation, to compare by."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
