"""`vaultctl init`: a vault, its first passphrase, its recovery code and its first administrator."""

import os
import pwd
from pathlib import Path

import click

from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import DESCRIPTOR
from vaultd_client.cli.patience import while_replaced
from vaultd_client.cli.secrets_in import wiped
from vaultd_client.cli.session import Command, Session
from vaultd_client.cli.slot_secrets import new_passphrase, new_recovery_code
from vaultd_client.cli.terminal import facts
from vaultd_client.errors import ExistsError
from vaultd_client.keys import ClientKey
from vaultd_client.slots import KdfParameters

_NEXT = """Next:
  vaultctl exchange add                       add an exchange with its key pairs
  vaultctl client keygen bot.key              a key for a bot; run it as the bot's user
  vaultctl client allow BOT PUBLIC_KEY --uid USER
  vaultctl client grant BOT EXCHANGE --configuration read
  vaultctl lock                               vaultctl unlock opens it again"""


@click.command(cls=Command)
@click.option("--administrator", metavar="NAME", help="Name of the first administrator; the user's where left out.")
@click.option("--label", default="", help="What the passphrase is called in the list of key slots.")
@click.option("--passphrase-fd", type=DESCRIPTOR, help="Read the passphrase from this descriptor.")
@click.option("--recovery-to-fd", type=DESCRIPTOR, help="Write the recovery code to this descriptor.")
@click.option("--no-recovery", is_flag=True, help="Make no recovery code: a lost passphrase then loses the vault.")
@click.option("--kdf-memory-mib", type=click.IntRange(min=1), help="Memory of Argon2id; measured where left out.")
@click.option("--kdf-passes", type=click.IntRange(min=1), default=3, show_default=True, help="With --kdf-memory-mib.")
@click.option("--kdf-lanes", type=click.IntRange(min=1), default=4, show_default=True, help="With --kdf-memory-mib.")
@click.pass_obj
def init(
    session: Session,
    *,
    administrator: str | None,
    label: str,
    passphrase_fd: int | None,
    recovery_to_fd: int | None,
    no_recovery: bool,
    kdf_memory_mib: int | None,
    kdf_passes: int,
    kdf_lanes: int,
) -> None:
    """Create the vault and enrol its first administrator.

    Asks for a passphrase twice, shows a recovery code once and asks for it again; nothing exists before both are right.
    The administrator's key file is made where there is none, and pins the new vault. The vault is left unlocked.
    """
    if no_recovery and recovery_to_fd is not None:
        raise Failure("--no-recovery and --recovery-to-fd exclude each other", "leave one out")
    path = session.key_path()
    with session.unlock_client() as keyholder:
        if while_replaced(session.terminal, keyholder.status).state != "UNINITIALIZED":
            raise ExistsError("the vault is initialized already", reason="VAULT_INITIALIZED")
        key, is_new = _administrator_key(path)
        passphrase = new_passphrase(passphrase_fd, "--passphrase-fd")
        with wiped(passphrase):
            code = None if no_recovery else new_recovery_code(recovery_to_fd)
            with wiped(code):
                if is_new:
                    key.save(path)  # before the vault exists: a vault whose administrator has no key is of no use
                name = administrator or pwd.getpwuid(os.getuid()).pw_name
                kdf = KdfParameters(kdf_memory_mib * 1024, kdf_passes, kdf_lanes) if kdf_memory_mib else None
                with session.terminal.working("Creating the vault; Argon2id takes a moment"):
                    pin = keyholder.initialize(
                        passphrase, code, name=name, public_key=key.public_key, uid=os.getuid(), kdf=kdf, label=label
                    )
    key.with_pin(pin).save(path, overwrite=True)
    document = {
        "vault_id": pin.vault_id.hex(),
        "identity": pin.identity.hex(),
        "fingerprint": pin.fingerprint,
        "administrator": name,
        "uid": os.getuid(),
        "key_file": str(path),
        "public_key": key.public_text,
        "recovery": not no_recovery,
    }
    shown = {"vault": "created, unlocked", "identity": pin.fingerprint, "administrator": name, "key file": path}
    session.terminal.result(document, facts(shown))
    if no_recovery:
        session.terminal.warn("there is no recovery code. Make one: vaultctl slot add --kind recovery")
    if not session.terminal.json:
        for line in _NEXT.splitlines():
            session.terminal.note(line)


def _administrator_key(path: Path) -> tuple[ClientKey, bool]:
    """Returns the key of a key file, or a new one, and whether it is new.

    Raises:
        Failure: The file pins another vault, which must not be forgotten silently.
        KeyFileError: The file is there and cannot be used.
    """
    if not os.path.lexists(path):
        return ClientKey.generate(), True
    key = ClientKey.load(path)
    if key.vault is not None:
        raise Failure(
            f"the key file {path} pins another vault",
            f"keep it for that vault, and make a new one here: vaultctl --key {path.with_name('other.key')} init",
        )
    return key, False
