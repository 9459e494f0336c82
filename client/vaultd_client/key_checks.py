"""What a client records of a key pair after asking the exchange, and what the vault gives back of it."""

from dataclasses import dataclass
from datetime import datetime

from vaultd_api.v1.exchange_service_pb2 import SealedFields
from vaultd_api.v1.resources_pb2 import KeyCheck as Message
from vaultd_client.errors import invalid
from vaultd_client.messages import enum_name, moment, timestamp

RIGHTS = ("read", "trade", "withdraw", "transfer", "ip_bound", "expires")
"""What a check answers with YES, NO or UNKNOWN."""


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What an exchange said of one version of a key pair. `works` is YES or NO; the rights may be UNKNOWN, never a guess.

    `means` is ENDPOINT (the exchange has a request that tells what a key may do) or BALANCE (it has none: the balance was
    asked for). `problem` says in words why it does not work. `checked_at` is set by the vault.
    """

    works: str
    means: str
    read: str = "UNKNOWN"
    trade: str = "UNKNOWN"
    withdraw: str = "UNKNOWN"
    transfer: str = "UNKNOWN"
    ip_bound: str = "UNKNOWN"
    expires: str = "UNKNOWN"
    expires_at: datetime | None = None
    problem: str = ""
    checked_at: datetime | None = None

    @classmethod
    def from_proto(cls, message: Message) -> "KeyCheck":
        """Builds it from the message of that name."""
        answers = {name: enum_name(Message.Answer, getattr(message, name), "ANSWER_") for name in RIGHTS}
        return cls(
            works=enum_name(Message.Answer, message.works, "ANSWER_"),
            means=enum_name(Message.Means, message.means, "MEANS_"),
            expires_at=moment(message, "expires_at"),
            problem=message.problem,
            checked_at=moment(message, "checked_at"),
            **answers,
        )

    def to_proto(self) -> Message:
        """Returns the message of that name; ValueError where a word is none of those above."""
        made = Message(works=f"ANSWER_{self.works}", means=f"MEANS_{self.means}", problem=self.problem)
        for name in RIGHTS:
            setattr(made, name, Message.Answer.Value(f"ANSWER_{getattr(self, name)}"))
        if self.expires_at is not None:
            made.expires_at.FromDatetime(self.expires_at)
        return made


def sealed_facts(check: KeyCheck | None, expires_at: datetime | None) -> SealedFields:
    """Returns what is known of a key pair, without the key pair.

    Raises:
        InvalidError: The check has a word that is none, or the time no zone.
    """
    facts = SealedFields()
    if check is not None:
        try:
            facts.check.CopyFrom(check.to_proto())
        except ValueError:
            raise invalid({"check": "has a word that is none of those of a KeyCheck"}) from None
    if expires_at is not None:
        facts.expires_at.CopyFrom(timestamp("expires_at", expires_at))
    return facts
