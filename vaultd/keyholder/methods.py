"""The policy table: every signed method, what it needs, who answers it. What is not here does not exist."""

from vaultd.keyholder import audits, backups, clients, confirming, exchanges, lifecycle, reveal
from vaultd.keyholder.calls import Caller, Method
from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd_api.v1 import audit_service_pb2 as audit_pb
from vaultd_api.v1 import client_service_pb2 as client_pb
from vaultd_api.v1 import exchange_service_pb2 as exchange_pb
from vaultd_api.v1 import vault_service_pb2 as vault_pb


def _lock(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: vault_pb.LockVaultRequest) -> Task:  # noqa: ARG001  one shape for the table
    yield from lifecycle.lock(holder, caller.peer, caller.rule, caller.client.name)
    return vault_pb.LockVaultResponse()


METHODS = {
    f"/vaultd.v1.{name}": method
    for name, method in {
        "VaultService/LockVault": Method(vault_pb.LockVaultRequest, "Vault:Lock", False, _lock),
        "VaultService/BackupVault": Method(vault_pb.BackupVaultRequest, "Vault:Backup", False, backups.backup),
        "ExchangeService/ListAllExchanges": Method(
            exchange_pb.ListAllExchangesRequest, "Exchanges:Read", False, exchanges.list_all
        ),
        "ExchangeService/CreateExchange": Method(
            exchange_pb.CreateExchangeRequest, "Exchanges:Create", True, exchanges.create
        ),
        "ExchangeService/UpdateExchange": Method(
            exchange_pb.UpdateExchangeRequest, "Exchanges:Update", True, exchanges.update
        ),
        "ExchangeService/RotateCredential": Method(
            exchange_pb.RotateCredentialRequest, "Exchanges:Rotate", True, exchanges.rotate
        ),
        "ExchangeService/RecordKeyCheck": Method(
            exchange_pb.RecordKeyCheckRequest, "Exchanges:Verify", True, exchanges.record_key_check
        ),
        "ExchangeService/RevokeExchange": Method(
            exchange_pb.RevokeExchangeRequest, "Exchanges:Revoke", True, exchanges.revoke
        ),
        "ExchangeService/RevokeCredential": Method(
            exchange_pb.RevokeCredentialRequest, "Exchanges:Revoke", True, exchanges.revoke_credential
        ),
        "ExchangeService/DeleteExchange": Method(
            exchange_pb.DeleteExchangeRequest, "Exchanges:Delete", True, exchanges.delete
        ),
        # By grant, or by permission Exchanges:Reveal: policy.may_reveal decides.
        "ExchangeService/RevealCredential": Method(exchange_pb.RevealCredentialRequest, "", False, reveal.reveal),
        "ClientService/AllowClient": Method(client_pb.AllowClientRequest, "Clients:Allow", True, clients.allow),
        "ClientService/ListClients": Method(client_pb.ListClientsRequest, "Clients:Read", False, clients.list_clients),
        "ClientService/UpdateClient": Method(client_pb.UpdateClientRequest, "Clients:Update", True, clients.update),
        "ClientService/RevokeClient": Method(client_pb.RevokeClientRequest, "Clients:Revoke", True, clients.revoke),
        "ClientService/ConfirmClient": Method(
            client_pb.ConfirmClientRequest, "Clients:Grant", True, confirming.confirm
        ),
        "ClientService/CreateGrant": Method(client_pb.CreateGrantRequest, "Clients:Grant", True, clients.create_grant),
        "ClientService/DeleteGrant": Method(client_pb.DeleteGrantRequest, "Clients:Grant", True, clients.delete_grant),
        "ClientService/ExplainAccess": Method(client_pb.ExplainAccessRequest, "Clients:Read", False, clients.explain),
        "AuditService/ListAuditEntries": Method(
            audit_pb.ListAuditEntriesRequest, "Audit:Read", False, audits.list_entries
        ),
        "AuditService/VerifyAudit": Method(audit_pb.VerifyAuditRequest, "Audit:Read", False, audits.verify),
    }.items()
}
