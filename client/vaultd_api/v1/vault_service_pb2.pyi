import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from vaultd_api.v1 import envelope_pb2 as _envelope_pb2
from vaultd_api.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetVaultRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetVaultResponse(_message.Message):
    __slots__ = ("vault",)
    VAULT_FIELD_NUMBER: _ClassVar[int]
    vault: Vault
    def __init__(self, vault: _Optional[_Union[Vault, _Mapping]] = ...) -> None: ...

class Vault(_message.Message):
    __slots__ = ("state", "vault_id", "epoch", "identity", "seal_key", "seal_key_signature", "version", "schema_version", "format_version", "started_at", "unlocked_at", "checks", "unaudited_denials", "lock_cause")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Vault.State]
        STATE_UNINITIALIZED: _ClassVar[Vault.State]
        STATE_LOCKED: _ClassVar[Vault.State]
        STATE_UNLOCKED: _ClassVar[Vault.State]
    STATE_UNSPECIFIED: Vault.State
    STATE_UNINITIALIZED: Vault.State
    STATE_LOCKED: Vault.State
    STATE_UNLOCKED: Vault.State
    class Check(_message.Message):
        __slots__ = ("name", "ok", "detail")
        NAME_FIELD_NUMBER: _ClassVar[int]
        OK_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        name: str
        ok: bool
        detail: str
        def __init__(self, name: _Optional[str] = ..., ok: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    VAULT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SEAL_KEY_FIELD_NUMBER: _ClassVar[int]
    SEAL_KEY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    UNLOCKED_AT_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    UNAUDITED_DENIALS_FIELD_NUMBER: _ClassVar[int]
    LOCK_CAUSE_FIELD_NUMBER: _ClassVar[int]
    state: Vault.State
    vault_id: bytes
    epoch: bytes
    identity: bytes
    seal_key: bytes
    seal_key_signature: bytes
    version: str
    schema_version: int
    format_version: int
    started_at: _timestamp_pb2.Timestamp
    unlocked_at: _timestamp_pb2.Timestamp
    checks: _containers.RepeatedCompositeFieldContainer[Vault.Check]
    unaudited_denials: int
    lock_cause: str
    def __init__(self, state: _Optional[_Union[Vault.State, str]] = ..., vault_id: _Optional[bytes] = ..., epoch: _Optional[bytes] = ..., identity: _Optional[bytes] = ..., seal_key: _Optional[bytes] = ..., seal_key_signature: _Optional[bytes] = ..., version: _Optional[str] = ..., schema_version: _Optional[int] = ..., format_version: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unlocked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., checks: _Optional[_Iterable[_Union[Vault.Check, _Mapping]]] = ..., unaudited_denials: _Optional[int] = ..., lock_cause: _Optional[str] = ...) -> None: ...

class LockVaultRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LockVaultResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupVaultRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupVaultResponse(_message.Message):
    __slots__ = ("manifest", "signature", "token")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    signature: bytes
    token: bytes
    def __init__(self, manifest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., token: _Optional[bytes] = ...) -> None: ...

class ReadBackupRequest(_message.Message):
    __slots__ = ("token", "offset")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    offset: int
    def __init__(self, token: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadBackupResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
