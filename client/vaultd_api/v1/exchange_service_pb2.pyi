import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from vaultd_api.v1 import envelope_pb2 as _envelope_pb2
from vaultd_api.v1 import kind_pb2 as _kind_pb2
from vaultd_api.v1 import options_pb2 as _options_pb2
from vaultd_api.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListKindsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKindsResponse(_message.Message):
    __slots__ = ("kinds", "next_page_token")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedCompositeFieldContainer[_kind_pb2.Kind]
    next_page_token: str
    def __init__(self, kinds: _Optional[_Iterable[_Union[_kind_pb2.Kind, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetKindRequest(_message.Message):
    __slots__ = ("kind",)
    KIND_FIELD_NUMBER: _ClassVar[int]
    kind: str
    def __init__(self, kind: _Optional[str] = ...) -> None: ...

class GetKindResponse(_message.Message):
    __slots__ = ("kind",)
    KIND_FIELD_NUMBER: _ClassVar[int]
    kind: _kind_pb2.Kind
    def __init__(self, kind: _Optional[_Union[_kind_pb2.Kind, _Mapping]] = ...) -> None: ...

class ListExchangesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExchangesResponse(_message.Message):
    __slots__ = ("exchanges", "next_page_token")
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    exchanges: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Exchange]
    next_page_token: str
    def __init__(self, exchanges: _Optional[_Iterable[_Union[_resources_pb2.Exchange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetExchangeRequest(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    def __init__(self, exchange: _Optional[str] = ...) -> None: ...

class GetExchangeResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ...) -> None: ...

class ListAllExchangesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAllExchangesResponse(_message.Message):
    __slots__ = ("exchanges", "next_page_token")
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    exchanges: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Exchange]
    next_page_token: str
    def __init__(self, exchanges: _Optional[_Iterable[_Union[_resources_pb2.Exchange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SealedFields(_message.Message):
    __slots__ = ("configuration", "sealed", "check", "expires_at")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    configuration: str
    sealed: bytes
    check: _resources_pb2.KeyCheck
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, configuration: _Optional[str] = ..., sealed: _Optional[bytes] = ..., check: _Optional[_Union[_resources_pb2.KeyCheck, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateExchangeRequest(_message.Message):
    __slots__ = ("exchange", "configurations", "validate_only")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    configurations: _containers.RepeatedCompositeFieldContainer[SealedFields]
    validate_only: bool
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ..., configurations: _Optional[_Iterable[_Union[SealedFields, _Mapping]]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateExchangeResponse(_message.Message):
    __slots__ = ("exchange", "notices")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateExchangeRequest(_message.Message):
    __slots__ = ("exchange", "update", "update_mask")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    update: _resources_pb2.Exchange
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, exchange: _Optional[str] = ..., update: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateExchangeResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ...) -> None: ...

class RotateCredentialRequest(_message.Message):
    __slots__ = ("exchange", "configuration")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    configuration: SealedFields
    def __init__(self, exchange: _Optional[str] = ..., configuration: _Optional[_Union[SealedFields, _Mapping]] = ...) -> None: ...

class RotateCredentialResponse(_message.Message):
    __slots__ = ("exchange", "version", "notices")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    version: int
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ..., version: _Optional[int] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordKeyCheckRequest(_message.Message):
    __slots__ = ("exchange", "configuration", "version", "check", "expires_at")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    configuration: str
    version: int
    check: _resources_pb2.KeyCheck
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, exchange: _Optional[str] = ..., configuration: _Optional[str] = ..., version: _Optional[int] = ..., check: _Optional[_Union[_resources_pb2.KeyCheck, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordKeyCheckResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ...) -> None: ...

class RevokeExchangeRequest(_message.Message):
    __slots__ = ("exchange", "lock_reason")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    LOCK_REASON_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    lock_reason: str
    def __init__(self, exchange: _Optional[str] = ..., lock_reason: _Optional[str] = ...) -> None: ...

class RevokeExchangeResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ...) -> None: ...

class RevokeCredentialRequest(_message.Message):
    __slots__ = ("exchange", "configuration", "version")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    configuration: str
    version: int
    def __init__(self, exchange: _Optional[str] = ..., configuration: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RevokeCredentialResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _resources_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_resources_pb2.Exchange, _Mapping]] = ...) -> None: ...

class DeleteExchangeRequest(_message.Message):
    __slots__ = ("exchange", "etag")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    etag: str
    def __init__(self, exchange: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteExchangeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevealCredentialRequest(_message.Message):
    __slots__ = ("exchange", "configuration", "version")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    configuration: str
    version: int
    def __init__(self, exchange: _Optional[str] = ..., configuration: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RevealCredentialResponse(_message.Message):
    __slots__ = ("exchange", "name", "kind", "environment", "configuration", "version", "ccxt_names", "fields", "market_types", "ccxt_id", "ccxt_switch", "notices")
    class CcxtNamesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CCXT_NAMES_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MARKET_TYPES_FIELD_NUMBER: _ClassVar[int]
    CCXT_ID_FIELD_NUMBER: _ClassVar[int]
    CCXT_SWITCH_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    name: str
    kind: str
    environment: str
    configuration: str
    version: int
    ccxt_names: _containers.ScalarMap[str, str]
    fields: _resources_pb2.CredentialFields
    market_types: _containers.RepeatedScalarFieldContainer[str]
    ccxt_id: str
    ccxt_switch: str
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, exchange: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., environment: _Optional[str] = ..., configuration: _Optional[str] = ..., version: _Optional[int] = ..., ccxt_names: _Optional[_Mapping[str, str]] = ..., fields: _Optional[_Union[_resources_pb2.CredentialFields, _Mapping]] = ..., market_types: _Optional[_Iterable[str]] = ..., ccxt_id: _Optional[str] = ..., ccxt_switch: _Optional[str] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...
