"""Kinds of the catalogue as the API shows them: everything that is known of each, its guide too."""

from vaultd.kinds import Field, Guide, KeyFormat, Kind, PermissionsEndpoint, guide_for
from vaultd_api.v1 import kind_pb2 as pb


def kind_message(kind: Kind) -> pb.Kind:
    """Returns a kind with all that the catalogue knows of it."""
    made = pb.Kind(
        resource_name=f"kinds/{kind.kind}",
        kind=kind.kind,
        display_name=kind.display_name,
        aliases=kind.aliases,
        old_names=kind.old_names,
        fields=[_field(field, kind) for field in kind.fields],
        market_types=kind.market_types,
        environments=kind.environments,
        website=kind.website,
        in_ccxt=kind.in_ccxt,
        free_fields=kind.free_fields,
        ccxt_switches=kind.ccxt_switches,
        rising_nonce=kind.rising_nonce,
        passphrase_in_clear=kind.passphrase_in_clear,
        readable_path=f"READABLE_PATH_{kind.readable_path.name}",
        guide=_guide(guide_for(kind)),
        notice=kind.tombstone_notice,
    )
    if kind.permissions_endpoint:
        made.permissions_endpoint.CopyFrom(_permissions_endpoint(kind.permissions_endpoint))
    for rule in kind.expiry:
        made.expiry.add(
            days=rule.days,
            when=rule.when,
            effect=rule.effect,
            source=rule.source,
            counts_from=f"COUNTS_FROM_{rule.counts_from.name}",
            certain=rule.certain,
            unless_ip_bound=rule.unless_ip_bound,
            rights=rule.rights,
        )
    if gone := kind.tombstone:
        made.tombstone.MergeFrom(
            pb.Kind.Tombstone(
                state=f"TOMBSTONE_STATE_{gone.state.name}", note=gone.note, replaced_by=gone.replaced_by
            )
        )
    return made


def _field(field: Field, kind: Kind) -> pb.Kind.Field:
    made = pb.Kind.Field(
        name=field.name,
        need=f"NEED_{field.need.name}",
        ccxt_name=field.ccxt_name,
        aliases=field.aliases,
        maskable=field.maskable,
        verbatim=field.verbatim,
        help=field.help,
        notice_when_given=field.notice_when_given,
    )
    for each in kind.key_formats:
        if each.field == field.name:
            _add_forms(made, each)
    return made


def _add_forms(field: pb.Kind.Field, known: KeyFormat) -> None:
    field.must_decode = known.refuse
    field.forms_source = known.source
    for shape in known.any_of:
        field.forms.add(
            text=shape.text,
            pattern=shape.pattern,
            encoding=f"ENCODING_{shape.encoding.name}",
            algorithm=shape.algorithm or "",
        )


def _permissions_endpoint(known: PermissionsEndpoint) -> pb.Kind.PermissionsEndpoint:
    return pb.Kind.PermissionsEndpoint(
        requests=known.requests,
        ccxt_methods=known.ccxt,
        evidence=f"EVIDENCE_{known.evidence.name}",
        read=known.read,
        trade=known.trade,
        withdraw=known.withdraw,
        transfer=known.transfer,
        ip=known.ip,
        expiry=known.expiry,
        other=known.other,
        source=known.source,
        whole_account=known.whole_account,
        answer_holds_secrets=known.answer_holds_secrets,
    )


def _guide(guide: Guide) -> pb.Kind.Guide:
    return pb.Kind.Guide(
        title=guide.title,
        page=guide.page,
        before=guide.before,
        steps=guide.steps,
        read=guide.read,
        write=guide.write,
        never=guide.never,
        ip=guide.ip,
        after=guide.after,
        instead=guide.instead,
        sources=guide.sources,
    )
