"""The unattended start of a system installation: what it is made of, and how the last one went."""

import subprocess
from pathlib import Path

NAME = "vaultd-machine-slot"
CREDENTIAL = Path("/etc/credstore.encrypted") / NAME
UNIT = "vaultd-unattended.service"
FILE = Path("/etc/systemd/system") / UNIT
_WHY = {
    "10": "the machine slot does not open this vault",
    "243": "this host cannot open the credential of the machine slot: damaged, or sealed for another host",
    "timeout": "it took too long",
}
"""Result or exit status of the unit to words; 243 is EXIT_CREDENTIALS (systemd.exec(5))."""


def outcome() -> dict[str, str] | None:
    """Returns how the unattended start went: `result` and `detail`; None where none was asked for."""
    if not FILE.exists():
        return None
    names = ("UnitFileState", "ActiveState", "Result", "ExecMainStatus", "ConditionResult", "InactiveExitTimestampMonotonic")
    command = ("systemctl", "show", f"--property={','.join(names)}", UNIT)
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - fixed words
    except FileNotFoundError:
        return None
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if found.get("UnitFileState") != "enabled":
        return None
    if found["ActiveState"] == "activating":
        return {"result": "trying", "detail": "under way"}
    if found["Result"] != "success":
        why = _WHY.get(found["Result"]) or _WHY.get(found["ExecMainStatus"]) or f"exit code {found['ExecMainStatus']}"
        return {"result": "failed", "detail": f"{why}; waits for a person: vaultctl unlock"}
    if found["ConditionResult"] != "yes":
        never = found["InactiveExitTimestampMonotonic"] in {"", "0"}
        detail = "at the next boot" if CREDENTIAL.exists() and never else f"there is no {CREDENTIAL}"
        return {"result": "waiting" if CREDENTIAL.exists() else "failed", "detail": detail}
    return {"result": "ok", "detail": "opened the vault after the boot"}
