from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(_message.Message):
    __slots__ = ("resource_name", "kind", "display_name", "aliases", "fields", "market_types", "environments", "old_names", "website", "in_ccxt", "free_fields", "ccxt_switches", "rising_nonce", "passphrase_in_clear", "readable_path", "permissions_endpoint", "expiry", "tombstone", "guide", "notice")
    class Need(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NEED_UNSPECIFIED: _ClassVar[Kind.Need]
        NEED_REQUIRED: _ClassVar[Kind.Need]
        NEED_EXPECTED: _ClassVar[Kind.Need]
        NEED_OPTIONAL: _ClassVar[Kind.Need]
    NEED_UNSPECIFIED: Kind.Need
    NEED_REQUIRED: Kind.Need
    NEED_EXPECTED: Kind.Need
    NEED_OPTIONAL: Kind.Need
    class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ENCODING_UNSPECIFIED: _ClassVar[Kind.Encoding]
        ENCODING_TEXT: _ClassVar[Kind.Encoding]
        ENCODING_BASE64: _ClassVar[Kind.Encoding]
        ENCODING_BASE58: _ClassVar[Kind.Encoding]
        ENCODING_HEX: _ClassVar[Kind.Encoding]
        ENCODING_PEM: _ClassVar[Kind.Encoding]
    ENCODING_UNSPECIFIED: Kind.Encoding
    ENCODING_TEXT: Kind.Encoding
    ENCODING_BASE64: Kind.Encoding
    ENCODING_BASE58: Kind.Encoding
    ENCODING_HEX: Kind.Encoding
    ENCODING_PEM: Kind.Encoding
    class ReadablePath(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        READABLE_PATH_UNSPECIFIED: _ClassVar[Kind.ReadablePath]
        READABLE_PATH_PLAIN: _ClassVar[Kind.ReadablePath]
        READABLE_PATH_BASE64: _ClassVar[Kind.ReadablePath]
        READABLE_PATH_PARTIAL: _ClassVar[Kind.ReadablePath]
        READABLE_PATH_NONE: _ClassVar[Kind.ReadablePath]
        READABLE_PATH_UNKNOWN: _ClassVar[Kind.ReadablePath]
    READABLE_PATH_UNSPECIFIED: Kind.ReadablePath
    READABLE_PATH_PLAIN: Kind.ReadablePath
    READABLE_PATH_BASE64: Kind.ReadablePath
    READABLE_PATH_PARTIAL: Kind.ReadablePath
    READABLE_PATH_NONE: Kind.ReadablePath
    READABLE_PATH_UNKNOWN: Kind.ReadablePath
    class Evidence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EVIDENCE_UNSPECIFIED: _ClassVar[Kind.Evidence]
        EVIDENCE_DOCS: _ClassVar[Kind.Evidence]
        EVIDENCE_SDK: _ClassVar[Kind.Evidence]
        EVIDENCE_SAMPLE: _ClassVar[Kind.Evidence]
        EVIDENCE_THIRD_PARTY: _ClassVar[Kind.Evidence]
        EVIDENCE_LISTED: _ClassVar[Kind.Evidence]
    EVIDENCE_UNSPECIFIED: Kind.Evidence
    EVIDENCE_DOCS: Kind.Evidence
    EVIDENCE_SDK: Kind.Evidence
    EVIDENCE_SAMPLE: Kind.Evidence
    EVIDENCE_THIRD_PARTY: Kind.Evidence
    EVIDENCE_LISTED: Kind.Evidence
    class CountsFrom(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COUNTS_FROM_UNSPECIFIED: _ClassVar[Kind.CountsFrom]
        COUNTS_FROM_CREATION: _ClassVar[Kind.CountsFrom]
        COUNTS_FROM_USE: _ClassVar[Kind.CountsFrom]
        COUNTS_FROM_EVENT: _ClassVar[Kind.CountsFrom]
    COUNTS_FROM_UNSPECIFIED: Kind.CountsFrom
    COUNTS_FROM_CREATION: Kind.CountsFrom
    COUNTS_FROM_USE: Kind.CountsFrom
    COUNTS_FROM_EVENT: Kind.CountsFrom
    class TombstoneState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TOMBSTONE_STATE_UNSPECIFIED: _ClassVar[Kind.TombstoneState]
        TOMBSTONE_STATE_CLOSED: _ClassVar[Kind.TombstoneState]
        TOMBSTONE_STATE_UNSUPPORTED: _ClassVar[Kind.TombstoneState]
    TOMBSTONE_STATE_UNSPECIFIED: Kind.TombstoneState
    TOMBSTONE_STATE_CLOSED: Kind.TombstoneState
    TOMBSTONE_STATE_UNSUPPORTED: Kind.TombstoneState
    class Form(_message.Message):
        __slots__ = ("text", "pattern", "encoding", "algorithm")
        TEXT_FIELD_NUMBER: _ClassVar[int]
        PATTERN_FIELD_NUMBER: _ClassVar[int]
        ENCODING_FIELD_NUMBER: _ClassVar[int]
        ALGORITHM_FIELD_NUMBER: _ClassVar[int]
        text: str
        pattern: str
        encoding: Kind.Encoding
        algorithm: str
        def __init__(self, text: _Optional[str] = ..., pattern: _Optional[str] = ..., encoding: _Optional[_Union[Kind.Encoding, str]] = ..., algorithm: _Optional[str] = ...) -> None: ...
    class Field(_message.Message):
        __slots__ = ("name", "need", "ccxt_name", "aliases", "maskable", "verbatim", "help", "notice_when_given", "forms", "must_decode", "forms_source")
        NAME_FIELD_NUMBER: _ClassVar[int]
        NEED_FIELD_NUMBER: _ClassVar[int]
        CCXT_NAME_FIELD_NUMBER: _ClassVar[int]
        ALIASES_FIELD_NUMBER: _ClassVar[int]
        MASKABLE_FIELD_NUMBER: _ClassVar[int]
        VERBATIM_FIELD_NUMBER: _ClassVar[int]
        HELP_FIELD_NUMBER: _ClassVar[int]
        NOTICE_WHEN_GIVEN_FIELD_NUMBER: _ClassVar[int]
        FORMS_FIELD_NUMBER: _ClassVar[int]
        MUST_DECODE_FIELD_NUMBER: _ClassVar[int]
        FORMS_SOURCE_FIELD_NUMBER: _ClassVar[int]
        name: str
        need: Kind.Need
        ccxt_name: str
        aliases: _containers.RepeatedScalarFieldContainer[str]
        maskable: bool
        verbatim: bool
        help: str
        notice_when_given: str
        forms: _containers.RepeatedCompositeFieldContainer[Kind.Form]
        must_decode: bool
        forms_source: str
        def __init__(self, name: _Optional[str] = ..., need: _Optional[_Union[Kind.Need, str]] = ..., ccxt_name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., maskable: _Optional[bool] = ..., verbatim: _Optional[bool] = ..., help: _Optional[str] = ..., notice_when_given: _Optional[str] = ..., forms: _Optional[_Iterable[_Union[Kind.Form, _Mapping]]] = ..., must_decode: _Optional[bool] = ..., forms_source: _Optional[str] = ...) -> None: ...
    class PermissionsEndpoint(_message.Message):
        __slots__ = ("requests", "ccxt_methods", "evidence", "read", "trade", "withdraw", "transfer", "ip", "expiry", "other", "source", "whole_account", "answer_holds_secrets")
        REQUESTS_FIELD_NUMBER: _ClassVar[int]
        CCXT_METHODS_FIELD_NUMBER: _ClassVar[int]
        EVIDENCE_FIELD_NUMBER: _ClassVar[int]
        READ_FIELD_NUMBER: _ClassVar[int]
        TRADE_FIELD_NUMBER: _ClassVar[int]
        WITHDRAW_FIELD_NUMBER: _ClassVar[int]
        TRANSFER_FIELD_NUMBER: _ClassVar[int]
        IP_FIELD_NUMBER: _ClassVar[int]
        EXPIRY_FIELD_NUMBER: _ClassVar[int]
        OTHER_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        WHOLE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
        ANSWER_HOLDS_SECRETS_FIELD_NUMBER: _ClassVar[int]
        requests: _containers.RepeatedScalarFieldContainer[str]
        ccxt_methods: _containers.RepeatedScalarFieldContainer[str]
        evidence: Kind.Evidence
        read: _containers.RepeatedScalarFieldContainer[str]
        trade: _containers.RepeatedScalarFieldContainer[str]
        withdraw: _containers.RepeatedScalarFieldContainer[str]
        transfer: _containers.RepeatedScalarFieldContainer[str]
        ip: _containers.RepeatedScalarFieldContainer[str]
        expiry: _containers.RepeatedScalarFieldContainer[str]
        other: _containers.RepeatedScalarFieldContainer[str]
        source: str
        whole_account: bool
        answer_holds_secrets: bool
        def __init__(self, requests: _Optional[_Iterable[str]] = ..., ccxt_methods: _Optional[_Iterable[str]] = ..., evidence: _Optional[_Union[Kind.Evidence, str]] = ..., read: _Optional[_Iterable[str]] = ..., trade: _Optional[_Iterable[str]] = ..., withdraw: _Optional[_Iterable[str]] = ..., transfer: _Optional[_Iterable[str]] = ..., ip: _Optional[_Iterable[str]] = ..., expiry: _Optional[_Iterable[str]] = ..., other: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., whole_account: _Optional[bool] = ..., answer_holds_secrets: _Optional[bool] = ...) -> None: ...
    class Expiry(_message.Message):
        __slots__ = ("days", "when", "effect", "source", "certain", "counts_from", "unless_ip_bound", "rights")
        DAYS_FIELD_NUMBER: _ClassVar[int]
        WHEN_FIELD_NUMBER: _ClassVar[int]
        EFFECT_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        CERTAIN_FIELD_NUMBER: _ClassVar[int]
        COUNTS_FROM_FIELD_NUMBER: _ClassVar[int]
        UNLESS_IP_BOUND_FIELD_NUMBER: _ClassVar[int]
        RIGHTS_FIELD_NUMBER: _ClassVar[int]
        days: int
        when: str
        effect: str
        source: str
        certain: bool
        counts_from: Kind.CountsFrom
        unless_ip_bound: bool
        rights: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, days: _Optional[int] = ..., when: _Optional[str] = ..., effect: _Optional[str] = ..., source: _Optional[str] = ..., certain: _Optional[bool] = ..., counts_from: _Optional[_Union[Kind.CountsFrom, str]] = ..., unless_ip_bound: _Optional[bool] = ..., rights: _Optional[_Iterable[str]] = ...) -> None: ...
    class Tombstone(_message.Message):
        __slots__ = ("state", "note", "replaced_by")
        STATE_FIELD_NUMBER: _ClassVar[int]
        NOTE_FIELD_NUMBER: _ClassVar[int]
        REPLACED_BY_FIELD_NUMBER: _ClassVar[int]
        state: Kind.TombstoneState
        note: str
        replaced_by: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, state: _Optional[_Union[Kind.TombstoneState, str]] = ..., note: _Optional[str] = ..., replaced_by: _Optional[_Iterable[str]] = ...) -> None: ...
    class Guide(_message.Message):
        __slots__ = ("title", "page", "before", "steps", "read", "write", "never", "ip", "after", "instead", "sources")
        TITLE_FIELD_NUMBER: _ClassVar[int]
        PAGE_FIELD_NUMBER: _ClassVar[int]
        BEFORE_FIELD_NUMBER: _ClassVar[int]
        STEPS_FIELD_NUMBER: _ClassVar[int]
        READ_FIELD_NUMBER: _ClassVar[int]
        WRITE_FIELD_NUMBER: _ClassVar[int]
        NEVER_FIELD_NUMBER: _ClassVar[int]
        IP_FIELD_NUMBER: _ClassVar[int]
        AFTER_FIELD_NUMBER: _ClassVar[int]
        INSTEAD_FIELD_NUMBER: _ClassVar[int]
        SOURCES_FIELD_NUMBER: _ClassVar[int]
        title: str
        page: str
        before: _containers.RepeatedScalarFieldContainer[str]
        steps: _containers.RepeatedScalarFieldContainer[str]
        read: _containers.RepeatedScalarFieldContainer[str]
        write: _containers.RepeatedScalarFieldContainer[str]
        never: _containers.RepeatedScalarFieldContainer[str]
        ip: str
        after: _containers.RepeatedScalarFieldContainer[str]
        instead: _containers.RepeatedScalarFieldContainer[str]
        sources: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, title: _Optional[str] = ..., page: _Optional[str] = ..., before: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[str]] = ..., read: _Optional[_Iterable[str]] = ..., write: _Optional[_Iterable[str]] = ..., never: _Optional[_Iterable[str]] = ..., ip: _Optional[str] = ..., after: _Optional[_Iterable[str]] = ..., instead: _Optional[_Iterable[str]] = ..., sources: _Optional[_Iterable[str]] = ...) -> None: ...
    class CcxtSwitchesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MARKET_TYPES_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    OLD_NAMES_FIELD_NUMBER: _ClassVar[int]
    WEBSITE_FIELD_NUMBER: _ClassVar[int]
    IN_CCXT_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    CCXT_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    RISING_NONCE_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_IN_CLEAR_FIELD_NUMBER: _ClassVar[int]
    READABLE_PATH_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    GUIDE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    resource_name: str
    kind: str
    display_name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    fields: _containers.RepeatedCompositeFieldContainer[Kind.Field]
    market_types: _containers.RepeatedScalarFieldContainer[str]
    environments: _containers.RepeatedScalarFieldContainer[str]
    old_names: _containers.RepeatedScalarFieldContainer[str]
    website: str
    in_ccxt: bool
    free_fields: bool
    ccxt_switches: _containers.ScalarMap[str, str]
    rising_nonce: bool
    passphrase_in_clear: bool
    readable_path: Kind.ReadablePath
    permissions_endpoint: Kind.PermissionsEndpoint
    expiry: _containers.RepeatedCompositeFieldContainer[Kind.Expiry]
    tombstone: Kind.Tombstone
    guide: Kind.Guide
    notice: str
    def __init__(self, resource_name: _Optional[str] = ..., kind: _Optional[str] = ..., display_name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., fields: _Optional[_Iterable[_Union[Kind.Field, _Mapping]]] = ..., market_types: _Optional[_Iterable[str]] = ..., environments: _Optional[_Iterable[str]] = ..., old_names: _Optional[_Iterable[str]] = ..., website: _Optional[str] = ..., in_ccxt: _Optional[bool] = ..., free_fields: _Optional[bool] = ..., ccxt_switches: _Optional[_Mapping[str, str]] = ..., rising_nonce: _Optional[bool] = ..., passphrase_in_clear: _Optional[bool] = ..., readable_path: _Optional[_Union[Kind.ReadablePath, str]] = ..., permissions_endpoint: _Optional[_Union[Kind.PermissionsEndpoint, _Mapping]] = ..., expiry: _Optional[_Iterable[_Union[Kind.Expiry, _Mapping]]] = ..., tombstone: _Optional[_Union[Kind.Tombstone, _Mapping]] = ..., guide: _Optional[_Union[Kind.Guide, _Mapping]] = ..., notice: _Optional[str] = ...) -> None: ...
