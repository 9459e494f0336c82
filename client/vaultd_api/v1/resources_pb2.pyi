import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Exchange(_message.Message):
    __slots__ = ("resource_name", "id", "name", "kind", "environment", "labels", "market_types", "hidden", "state", "lock_reason", "configurations", "created_at", "updated_at", "etag")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Exchange.State]
        STATE_ACTIVE: _ClassVar[Exchange.State]
        STATE_DISABLED: _ClassVar[Exchange.State]
        STATE_REVOKED: _ClassVar[Exchange.State]
    STATE_UNSPECIFIED: Exchange.State
    STATE_ACTIVE: Exchange.State
    STATE_DISABLED: Exchange.State
    STATE_REVOKED: Exchange.State
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MARKET_TYPES_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    resource_name: str
    id: str
    name: str
    kind: str
    environment: str
    labels: _containers.ScalarMap[str, str]
    market_types: _containers.RepeatedScalarFieldContainer[str]
    hidden: bool
    state: Exchange.State
    lock_reason: str
    configurations: _containers.RepeatedCompositeFieldContainer[Configuration]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, resource_name: _Optional[str] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., environment: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., market_types: _Optional[_Iterable[str]] = ..., hidden: _Optional[bool] = ..., state: _Optional[_Union[Exchange.State, str]] = ..., lock_reason: _Optional[str] = ..., configurations: _Optional[_Iterable[_Union[Configuration, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("configuration", "credentials")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    configuration: str
    credentials: _containers.RepeatedCompositeFieldContainer[Credential]
    def __init__(self, configuration: _Optional[str] = ..., credentials: _Optional[_Iterable[_Union[Credential, _Mapping]]] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("resource_name", "version", "state", "key_state", "masks", "created_at", "check", "expires_at", "expiry_source", "expiry_rule")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Credential.State]
        STATE_STAGED: _ClassVar[Credential.State]
        STATE_ACTIVE: _ClassVar[Credential.State]
        STATE_PREVIOUS: _ClassVar[Credential.State]
        STATE_REVOKED: _ClassVar[Credential.State]
        STATE_DESTROYED: _ClassVar[Credential.State]
    STATE_UNSPECIFIED: Credential.State
    STATE_STAGED: Credential.State
    STATE_ACTIVE: Credential.State
    STATE_PREVIOUS: Credential.State
    STATE_REVOKED: Credential.State
    STATE_DESTROYED: Credential.State
    class KeyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KEY_STATE_UNSPECIFIED: _ClassVar[Credential.KeyState]
        KEY_STATE_UNKNOWN: _ClassVar[Credential.KeyState]
        KEY_STATE_OK: _ClassVar[Credential.KeyState]
        KEY_STATE_INVALID: _ClassVar[Credential.KeyState]
    KEY_STATE_UNSPECIFIED: Credential.KeyState
    KEY_STATE_UNKNOWN: Credential.KeyState
    KEY_STATE_OK: Credential.KeyState
    KEY_STATE_INVALID: Credential.KeyState
    class ExpirySource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXPIRY_SOURCE_UNSPECIFIED: _ClassVar[Credential.ExpirySource]
        EXPIRY_SOURCE_EXCHANGE: _ClassVar[Credential.ExpirySource]
        EXPIRY_SOURCE_PERSON: _ClassVar[Credential.ExpirySource]
        EXPIRY_SOURCE_RULE: _ClassVar[Credential.ExpirySource]
    EXPIRY_SOURCE_UNSPECIFIED: Credential.ExpirySource
    EXPIRY_SOURCE_EXCHANGE: Credential.ExpirySource
    EXPIRY_SOURCE_PERSON: Credential.ExpirySource
    EXPIRY_SOURCE_RULE: Credential.ExpirySource
    class MasksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KEY_STATE_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_RULE_FIELD_NUMBER: _ClassVar[int]
    resource_name: str
    version: int
    state: Credential.State
    key_state: Credential.KeyState
    masks: _containers.ScalarMap[str, str]
    created_at: _timestamp_pb2.Timestamp
    check: KeyCheck
    expires_at: _timestamp_pb2.Timestamp
    expiry_source: Credential.ExpirySource
    expiry_rule: str
    def __init__(self, resource_name: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[Credential.State, str]] = ..., key_state: _Optional[_Union[Credential.KeyState, str]] = ..., masks: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., check: _Optional[_Union[KeyCheck, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expiry_source: _Optional[_Union[Credential.ExpirySource, str]] = ..., expiry_rule: _Optional[str] = ...) -> None: ...

class KeyCheck(_message.Message):
    __slots__ = ("works", "read", "trade", "withdraw", "transfer", "ip_bound", "expires", "expires_at", "means", "problem", "checked_at")
    class Answer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ANSWER_UNSPECIFIED: _ClassVar[KeyCheck.Answer]
        ANSWER_UNKNOWN: _ClassVar[KeyCheck.Answer]
        ANSWER_YES: _ClassVar[KeyCheck.Answer]
        ANSWER_NO: _ClassVar[KeyCheck.Answer]
    ANSWER_UNSPECIFIED: KeyCheck.Answer
    ANSWER_UNKNOWN: KeyCheck.Answer
    ANSWER_YES: KeyCheck.Answer
    ANSWER_NO: KeyCheck.Answer
    class Means(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MEANS_UNSPECIFIED: _ClassVar[KeyCheck.Means]
        MEANS_ENDPOINT: _ClassVar[KeyCheck.Means]
        MEANS_BALANCE: _ClassVar[KeyCheck.Means]
    MEANS_UNSPECIFIED: KeyCheck.Means
    MEANS_ENDPOINT: KeyCheck.Means
    MEANS_BALANCE: KeyCheck.Means
    WORKS_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    TRADE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    IP_BOUND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    works: KeyCheck.Answer
    read: KeyCheck.Answer
    trade: KeyCheck.Answer
    withdraw: KeyCheck.Answer
    transfer: KeyCheck.Answer
    ip_bound: KeyCheck.Answer
    expires: KeyCheck.Answer
    expires_at: _timestamp_pb2.Timestamp
    means: KeyCheck.Means
    problem: str
    checked_at: _timestamp_pb2.Timestamp
    def __init__(self, works: _Optional[_Union[KeyCheck.Answer, str]] = ..., read: _Optional[_Union[KeyCheck.Answer, str]] = ..., trade: _Optional[_Union[KeyCheck.Answer, str]] = ..., withdraw: _Optional[_Union[KeyCheck.Answer, str]] = ..., transfer: _Optional[_Union[KeyCheck.Answer, str]] = ..., ip_bound: _Optional[_Union[KeyCheck.Answer, str]] = ..., expires: _Optional[_Union[KeyCheck.Answer, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., means: _Optional[_Union[KeyCheck.Means, str]] = ..., problem: _Optional[str] = ..., checked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CredentialFields(_message.Message):
    __slots__ = ("api_key", "secret", "passphrase", "customer_id", "address", "private_key", "login", "password", "two_fa", "token", "account_id", "extra")
    class ExtraEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PASSPHRASE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    LOGIN_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    TWO_FA_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
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
    extra: _containers.ScalarMap[str, str]
    def __init__(self, api_key: _Optional[str] = ..., secret: _Optional[str] = ..., passphrase: _Optional[str] = ..., customer_id: _Optional[str] = ..., address: _Optional[str] = ..., private_key: _Optional[str] = ..., login: _Optional[str] = ..., password: _Optional[str] = ..., two_fa: _Optional[str] = ..., token: _Optional[str] = ..., account_id: _Optional[str] = ..., extra: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("resource_name", "name", "public_key", "uid", "unit", "state", "permissions", "grants", "created_at", "key_id")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Client.State]
        STATE_ACTIVE: _ClassVar[Client.State]
        STATE_DISABLED: _ClassVar[Client.State]
        STATE_REVOKED: _ClassVar[Client.State]
        STATE_SUSPENDED: _ClassVar[Client.State]
    STATE_UNSPECIFIED: Client.State
    STATE_ACTIVE: Client.State
    STATE_DISABLED: Client.State
    STATE_REVOKED: Client.State
    STATE_SUSPENDED: Client.State
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    resource_name: str
    name: str
    public_key: bytes
    uid: int
    unit: str
    state: Client.State
    permissions: _containers.RepeatedScalarFieldContainer[str]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    created_at: _timestamp_pb2.Timestamp
    key_id: str
    def __init__(self, resource_name: _Optional[str] = ..., name: _Optional[str] = ..., public_key: _Optional[bytes] = ..., uid: _Optional[int] = ..., unit: _Optional[str] = ..., state: _Optional[_Union[Client.State, str]] = ..., permissions: _Optional[_Iterable[str]] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., key_id: _Optional[str] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("resource_name", "id", "operation", "exchange", "configuration", "not_after", "rate_count", "rate_seconds", "unit", "state")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Grant.State]
        STATE_ACTIVE: _ClassVar[Grant.State]
        STATE_SUSPENDED: _ClassVar[Grant.State]
    STATE_UNSPECIFIED: Grant.State
    STATE_ACTIVE: Grant.State
    STATE_SUSPENDED: Grant.State
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    RATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    resource_name: str
    id: str
    operation: str
    exchange: str
    configuration: str
    not_after: _timestamp_pb2.Timestamp
    rate_count: int
    rate_seconds: int
    unit: str
    state: Grant.State
    def __init__(self, resource_name: _Optional[str] = ..., id: _Optional[str] = ..., operation: _Optional[str] = ..., exchange: _Optional[str] = ..., configuration: _Optional[str] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rate_count: _Optional[int] = ..., rate_seconds: _Optional[int] = ..., unit: _Optional[str] = ..., state: _Optional[_Union[Grant.State, str]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("sequence", "time", "method", "decision", "rule", "client", "uid", "pid", "unit", "exchange", "configuration", "version", "detail", "count", "started_at")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    method: str
    decision: str
    rule: str
    client: str
    uid: int
    pid: int
    unit: str
    exchange: str
    configuration: str
    version: int
    detail: str
    count: int
    started_at: _timestamp_pb2.Timestamp
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., method: _Optional[str] = ..., decision: _Optional[str] = ..., rule: _Optional[str] = ..., client: _Optional[str] = ..., uid: _Optional[int] = ..., pid: _Optional[int] = ..., unit: _Optional[str] = ..., exchange: _Optional[str] = ..., configuration: _Optional[str] = ..., version: _Optional[int] = ..., detail: _Optional[str] = ..., count: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
