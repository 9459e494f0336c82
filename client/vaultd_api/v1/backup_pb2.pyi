import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackupManifest(_message.Message):
    __slots__ = ("vault_id", "identity", "generation", "time", "schema_version", "format_version", "store_bytes", "store_sha256", "anchor", "exchanges", "credentials", "clients", "grants", "slots", "machine_slots_left_out")
    class Slot(_message.Message):
        __slots__ = ("slot", "kind", "label")
        SLOT_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        LABEL_FIELD_NUMBER: _ClassVar[int]
        slot: int
        kind: str
        label: str
        def __init__(self, slot: _Optional[int] = ..., kind: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...
    VAULT_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    STORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORE_SHA256_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_SLOTS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    vault_id: bytes
    identity: bytes
    generation: int
    time: _timestamp_pb2.Timestamp
    schema_version: int
    format_version: int
    store_bytes: int
    store_sha256: bytes
    anchor: bytes
    exchanges: int
    credentials: int
    clients: int
    grants: int
    slots: _containers.RepeatedCompositeFieldContainer[BackupManifest.Slot]
    machine_slots_left_out: int
    def __init__(self, vault_id: _Optional[bytes] = ..., identity: _Optional[bytes] = ..., generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., schema_version: _Optional[int] = ..., format_version: _Optional[int] = ..., store_bytes: _Optional[int] = ..., store_sha256: _Optional[bytes] = ..., anchor: _Optional[bytes] = ..., exchanges: _Optional[int] = ..., credentials: _Optional[int] = ..., clients: _Optional[int] = ..., grants: _Optional[int] = ..., slots: _Optional[_Iterable[_Union[BackupManifest.Slot, _Mapping]]] = ..., machine_slots_left_out: _Optional[int] = ...) -> None: ...
