from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
SIGNED_METHOD_FIELD_NUMBER: _ClassVar[int]
signed_method: _descriptor.FieldDescriptor

class SignedMethod(_message.Message):
    __slots__ = ("request", "response")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    request: str
    response: str
    def __init__(self, request: _Optional[str] = ..., response: _Optional[str] = ...) -> None: ...
