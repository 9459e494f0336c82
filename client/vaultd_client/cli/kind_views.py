"""A kind of exchange as a person reads it: what to fill in, what to know, and how to make a key there."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table

from vaultd_client.cli.terminal import facts, table
from vaultd_client.kinds import Expiry, Guide, Kind, KindField, PermissionsEndpoint

Lines = str | tuple[str, ...]

GONE = {"CLOSED": "closed", "UNSUPPORTED": "dropped by ccxt"}
PATHS = {
    "PLAIN": "can be read in every signed request: a rule on paths can be enforced",
    "BASE64": "can be read in every signed request, inside base64: a rule on paths can be enforced",
    "PARTIAL": "can be read in some signed requests only: a rule on paths can be got round",
    "NONE": "cannot be read in what is signed: only the rights of the key itself keep a bot from withdrawing",
    "UNKNOWN": "is not known to be readable in what is signed: only the rights of the key itself keep a bot from withdrawing",
}
EVIDENCE = {
    "DOCS": "from the exchange's documentation",
    "SDK": "from the exchange's own library",
    "SAMPLE": "from a sample of an answer",
    "THIRD_PARTY": "from code of others",
    "LISTED": "ccxt lists it, its answer was not seen",
}


def kind_table(kinds: Sequence[Kind]) -> Table:
    """Returns one row per kind; a field with a question mark may stay empty."""
    rows = [
        (
            kind.kind,
            kind.display_name,
            ", ".join(
                field.name + ("?" if field.need == "EXPECTED" else "")
                for field in kind.fields
                if field.need in {"REQUIRED", "EXPECTED"}
            )
            or "any",
            ", ".join(kind.market_types) or "any",
            ", ".join(kind.environments[1:]) or "-",
            state(kind),
        )
        for kind in kinds
    ]
    made = table(("KIND", "EXCHANGE", "FIELDS", "MARKETS", "TEST NETWORK", "STATE"), rows)
    made.columns[0].no_wrap = True  # an identifier that is to be typed is not broken
    return made


def state(kind: Kind) -> str:
    """Returns `ok`, or what became of the kind and where to look in its place."""
    if kind.tombstone is None:
        return "ok"
    word = GONE.get(kind.tombstone.state, "gone")
    return f"{word}, see {', '.join(kind.tombstone.replaced_by)}" if kind.tombstone.replaced_by else word


def kind_page(kind: Kind) -> Iterator[RenderableType]:
    """Yields the parts of the page of one kind."""
    yield facts(_about(kind))
    yield ""
    yield table(
        ("FIELD", "NEED", "CCXT", "WHAT IT IS", "FORM", "ALSO CALLED"),
        [_field_row(field) for field in kind.fields],
    )
    if kind.free_fields:
        yield "A field of any other name is stored too, as a free entry."
    yield ""
    yield facts(_to_know(kind))
    yield ""
    yield from _guide(kind)


def _about(kind: Kind) -> Mapping[str, str]:
    about = {
        "kind": kind.kind,
        "exchange": kind.display_name,
        "state": f"{state(kind)}: {kind.tombstone.note}" if kind.tombstone else "",
        "website": kind.website,
        "also called": ", ".join(kind.aliases),
        "formerly": ", ".join(kind.old_names),
        "market types": ", ".join(kind.market_types) or "any",
        "environments": ", ".join(kind.environments) + ("" if len(kind.environments) > 1 else " (no test network)"),
        "ccxt": "knows it by this name" if kind.in_ccxt else "does not know it",
    }
    return {name: text for name, text in about.items() if text}


def _field_row(field: KindField) -> tuple[str, ...]:
    forms = ", or ".join(form.text for form in field.forms)
    return (
        field.name,
        field.need.lower(),
        field.ccxt_name or "-",
        field.help + (f". {field.notice_when_given}" if field.notice_when_given else ""),
        f"{forms} (else refused)" if field.must_decode else forms or "-",
        ", ".join(field.aliases),
    )


def _to_know(kind: Kind) -> Mapping[str, Lines]:
    known: dict[str, Lines] = {
        "nonce": "must rise with each request of a key: give every program a key pair of its own"
        if kind.rising_nonce
        else "",
        "passphrase": "travels in clear with each request" if kind.passphrase_in_clear else "",
        "path": PATHS.get(kind.readable_path, kind.readable_path.lower()),
        "rights of a key": _rights(kind.permissions_endpoint),
        "end of a key": tuple(map(_expiry, kind.expiry)) or "no rule is known: ask the exchange",
    }
    return {name: text for name, text in known.items() if text}


def _rights(endpoint: PermissionsEndpoint | None) -> Lines:
    if endpoint is None:
        return "no request is known that tells them: a check says unknown, never safe"
    told = {
        "read": endpoint.read,
        "trade": endpoint.trade,
        "withdraw": endpoint.withdraw,
        "transfer": endpoint.transfer,
        "address": endpoint.ip,
        "end": endpoint.expiry,
    }
    requests, evidence = ", then ".join(endpoint.requests), EVIDENCE.get(endpoint.evidence, endpoint.evidence.lower())
    lines = [f"{requests} tells them ({evidence})"]
    lines += [f"{name}: {', '.join(words)}" for name, words in told.items() if words]
    if endpoint.whole_account:
        lines.append("the answer speaks of the account, not of the key")
    if endpoint.answer_holds_secrets:
        lines.append("the answer holds secrets and must not be logged")
    return tuple(lines)


def _expiry(rule: Expiry) -> str:
    doubt = "" if rule.certain else "; not confirmed"
    return f"after {rule.days} days, when {rule.when}: {rule.effect} ({rule.source}{doubt})"


def _guide(kind: Kind) -> Iterator[RenderableType]:
    guide = kind.guide
    yield guide.title if kind.tombstone else f"How to create a key: {guide.title}"
    lines: dict[str, Lines] = {"page": guide.page, "before": guide.before}
    steps = {f"{number}.": step for number, step in enumerate(guide.steps, 1)}
    yield facts({name: text for name, text in {**lines, **steps, **_rights_wanted(guide)}.items() if text})
    if not kind.tombstone:
        yield ""
        yield f"Then: vaultctl exchange add NAME --kind {kind.kind}"


def _rights_wanted(guide: Guide) -> Mapping[str, Lines]:
    return {
        "read key": guide.read,
        "write key": guide.write,
        "never": guide.never,
        "address": guide.ip,
        "after": guide.after,
        "in its place": ", ".join(guide.instead),
        "sources": guide.sources,
    }
