"""Values of messages: read from answers, made for requests."""

from datetime import UTC, datetime

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from vaultd_client.errors import InternalError, invalid


def moment(message: Message, field: str) -> datetime | None:
    """Returns a field of an answer in UTC, None where it is not set; InternalError where it is no time."""
    if not message.HasField(field):
        return None
    try:
        read: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    except ValueError:
        # Open answers are the word of whoever listens at the socket.
        raise InternalError("the answer does not follow the protocol", reason="PROTOCOL_VIOLATION") from None
    return read


def timestamp(field: str, when: datetime) -> Timestamp:
    """Returns a moment that has a time zone for a request; InvalidError names the field where it has none."""
    if when.tzinfo is None:
        raise invalid({field: "needs a time zone"})
    made = Timestamp()
    made.FromDatetime(when)
    return made


def enum_name(wrapper: EnumTypeWrapper, number: int, prefix: str = "STATE_") -> str:
    """Returns the name of an enum's value without its prefix; of a value that this client does not know, its number."""
    descriptor = wrapper.DESCRIPTOR.values_by_number.get(number)
    return str(number) if descriptor is None else descriptor.name.removeprefix(prefix)
