"""Every RPC of vaultd.v1: its path, what it answers with, and whether it may be sent twice.

`idempotent` repeats the `Idempotent:` line of the RPC's comment in proto/vaultd/v1; a test compares the two. Only such
a call is tried again when nobody answered, because it is then unknown whether the daemon did it.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from vaultd_api.v1 import audit_service_pb2 as audit
from vaultd_api.v1 import client_service_pb2 as clients
from vaultd_api.v1 import exchange_service_pb2 as exchanges
from vaultd_api.v1 import vault_service_pb2 as vault

Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Response]):
    """One RPC.

    Args:
        path: Full gRPC method name; signed RPCs repeat it inside the signature.
        response: Message that the answer holds.
        signed: True where the request is a SignedRequest.
        idempotent: True where sending it twice changes no more than sending it once.
    """

    path: str
    response: type[Response]
    signed: bool = True
    idempotent: bool = False


_VAULT = "/vaultd.v1.VaultService/"
_EXCHANGE = "/vaultd.v1.ExchangeService/"
_CLIENT = "/vaultd.v1.ClientService/"
_AUDIT = "/vaultd.v1.AuditService/"

GET_VAULT = Method(_VAULT + "GetVault", vault.GetVaultResponse, signed=False, idempotent=True)
LOCK_VAULT = Method(_VAULT + "LockVault", vault.LockVaultResponse)

BACKUP_VAULT = Method(_VAULT + "BackupVault", vault.BackupVaultResponse)
READ_BACKUP = Method(_VAULT + "ReadBackup", vault.ReadBackupResponse, signed=False, idempotent=True)

LIST_KINDS = Method(_EXCHANGE + "ListKinds", exchanges.ListKindsResponse, signed=False, idempotent=True)
GET_KIND = Method(_EXCHANGE + "GetKind", exchanges.GetKindResponse, signed=False, idempotent=True)
LIST_EXCHANGES = Method(_EXCHANGE + "ListExchanges", exchanges.ListExchangesResponse, signed=False, idempotent=True)
GET_EXCHANGE = Method(_EXCHANGE + "GetExchange", exchanges.GetExchangeResponse, signed=False, idempotent=True)
LIST_ALL_EXCHANGES = Method(_EXCHANGE + "ListAllExchanges", exchanges.ListAllExchangesResponse, idempotent=True)
CREATE_EXCHANGE = Method(_EXCHANGE + "CreateExchange", exchanges.CreateExchangeResponse)
UPDATE_EXCHANGE = Method(_EXCHANGE + "UpdateExchange", exchanges.UpdateExchangeResponse, idempotent=True)
ROTATE_CREDENTIAL = Method(_EXCHANGE + "RotateCredential", exchanges.RotateCredentialResponse)
RECORD_KEY_CHECK = Method(_EXCHANGE + "RecordKeyCheck", exchanges.RecordKeyCheckResponse)
REVOKE_EXCHANGE = Method(_EXCHANGE + "RevokeExchange", exchanges.RevokeExchangeResponse, idempotent=True)
REVOKE_CREDENTIAL = Method(_EXCHANGE + "RevokeCredential", exchanges.RevokeCredentialResponse, idempotent=True)
DELETE_EXCHANGE = Method(_EXCHANGE + "DeleteExchange", exchanges.DeleteExchangeResponse)
REVEAL_CREDENTIAL = Method(_EXCHANGE + "RevealCredential", exchanges.RevealCredentialResponse, idempotent=True)

ALLOW_CLIENT = Method(_CLIENT + "AllowClient", clients.AllowClientResponse)
LIST_CLIENTS = Method(_CLIENT + "ListClients", clients.ListClientsResponse, idempotent=True)
UPDATE_CLIENT = Method(_CLIENT + "UpdateClient", clients.UpdateClientResponse, idempotent=True)
REVOKE_CLIENT = Method(_CLIENT + "RevokeClient", clients.RevokeClientResponse, idempotent=True)
CONFIRM_CLIENT = Method(_CLIENT + "ConfirmClient", clients.ConfirmClientResponse, idempotent=True)
CREATE_GRANT = Method(_CLIENT + "CreateGrant", clients.CreateGrantResponse)
DELETE_GRANT = Method(_CLIENT + "DeleteGrant", clients.DeleteGrantResponse)
EXPLAIN_ACCESS = Method(_CLIENT + "ExplainAccess", clients.ExplainAccessResponse, idempotent=True)

LIST_AUDIT_ENTRIES = Method(_AUDIT + "ListAuditEntries", audit.ListAuditEntriesResponse, idempotent=True)
VERIFY_AUDIT = Method(_AUDIT + "VerifyAudit", audit.VerifyAuditResponse, idempotent=True)
