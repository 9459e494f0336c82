from google.protobuf import field_mask_pb2 as _field_mask_pb2
from vaultd_api.v1 import envelope_pb2 as _envelope_pb2
from vaultd_api.v1 import options_pb2 as _options_pb2
from vaultd_api.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AllowClientRequest(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: _resources_pb2.Client
    def __init__(self, client: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ...) -> None: ...

class AllowClientResponse(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: _resources_pb2.Client
    def __init__(self, client: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClientsResponse(_message.Message):
    __slots__ = ("clients", "next_page_token")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Client]
    next_page_token: str
    def __init__(self, clients: _Optional[_Iterable[_Union[_resources_pb2.Client, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateClientRequest(_message.Message):
    __slots__ = ("client", "update", "update_mask")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    client: str
    update: _resources_pb2.Client
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, client: _Optional[str] = ..., update: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateClientResponse(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: _resources_pb2.Client
    def __init__(self, client: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ...) -> None: ...

class RevokeClientRequest(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: str
    def __init__(self, client: _Optional[str] = ...) -> None: ...

class RevokeClientResponse(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: _resources_pb2.Client
    def __init__(self, client: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ...) -> None: ...

class ConfirmClientRequest(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: str
    def __init__(self, client: _Optional[str] = ...) -> None: ...

class ConfirmClientResponse(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: _resources_pb2.Client
    def __init__(self, client: _Optional[_Union[_resources_pb2.Client, _Mapping]] = ...) -> None: ...

class CreateGrantRequest(_message.Message):
    __slots__ = ("client", "grant")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    client: str
    grant: _resources_pb2.Grant
    def __init__(self, client: _Optional[str] = ..., grant: _Optional[_Union[_resources_pb2.Grant, _Mapping]] = ...) -> None: ...

class CreateGrantResponse(_message.Message):
    __slots__ = ("grant", "notices")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    grant: _resources_pb2.Grant
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, grant: _Optional[_Union[_resources_pb2.Grant, _Mapping]] = ..., notices: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteGrantRequest(_message.Message):
    __slots__ = ("client", "grant")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    client: str
    grant: str
    def __init__(self, client: _Optional[str] = ..., grant: _Optional[str] = ...) -> None: ...

class DeleteGrantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainAccessRequest(_message.Message):
    __slots__ = ("client", "exchange", "configuration")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    client: str
    exchange: str
    configuration: str
    def __init__(self, client: _Optional[str] = ..., exchange: _Optional[str] = ..., configuration: _Optional[str] = ...) -> None: ...

class ExplainAccessResponse(_message.Message):
    __slots__ = ("allowed", "rule", "steps", "denials")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    DENIALS_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    rule: str
    steps: _containers.RepeatedScalarFieldContainer[str]
    denials: _containers.RepeatedCompositeFieldContainer[_resources_pb2.AuditEntry]
    def __init__(self, allowed: _Optional[bool] = ..., rule: _Optional[str] = ..., steps: _Optional[_Iterable[str]] = ..., denials: _Optional[_Iterable[_Union[_resources_pb2.AuditEntry, _Mapping]]] = ...) -> None: ...
