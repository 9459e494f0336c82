"""Where the sockets and the key file are. The daemon uses the same rules.

1. `VAULTD_SOCKET`, `VAULTD_UNLOCK_SOCKET`, `VAULTD_METRICS_SOCKET`, `VAULTD_KEY` name one path each.
2. `VAULTD_RUNTIME_DIR` names the directory of the sockets.
3. User mode: `$XDG_RUNTIME_DIR/vaultd/`; `$XDG_CONFIG_HOME/vaultd/client.key`.
4. System mode: `/run/vaultd/`.

An empty variable is an unset one.
"""

import os
import warnings
from pathlib import Path

import platformdirs

SYSTEM_RUNTIME_DIR = Path("/run/vaultd")
PUBLIC_SOCKET = "vaultd.sock"
UNLOCK_SOCKET = "unlock.sock"
METRICS_SOCKET = "metrics.sock"
KEY_FILE = "client.key"


def public_socket() -> Path:
    """Returns the path of the gRPC socket: the first that exists, else the one of user mode."""
    return _from_environment("VAULTD_SOCKET") or _socket(PUBLIC_SOCKET)


def unlock_socket() -> Path:
    """Returns the path of the unlock socket: the first that exists, else the one of user mode."""
    return _from_environment("VAULTD_UNLOCK_SOCKET") or _socket(UNLOCK_SOCKET)


def metrics_socket() -> Path:
    """Returns the path of the metrics socket: the first that exists, else the one of user mode."""
    return _from_environment("VAULTD_METRICS_SOCKET") or _socket(METRICS_SOCKET)


def key_file() -> Path:
    """Returns the path of the client key file."""
    return _from_environment("VAULTD_KEY") or Path(platformdirs.user_config_dir("vaultd")) / KEY_FILE


def state_dir() -> Path:
    """Returns the directory of what the client remembers: records of imports. `$XDG_STATE_HOME/vaultd/`."""
    return Path(platformdirs.user_state_dir("vaultd"))


def runtime_dirs() -> tuple[Path, ...]:
    """Returns the directories in which the sockets may be, the preferred first."""
    named = _from_environment("VAULTD_RUNTIME_DIR")
    if named is not None:
        return (named,)
    user = _user_runtime_dir()
    return (SYSTEM_RUNTIME_DIR,) if user is None else (user, SYSTEM_RUNTIME_DIR)


def _socket(name: str) -> Path:
    candidates = [directory / name for directory in runtime_dirs()]
    return next((path for path in candidates if os.path.lexists(path)), candidates[0])


def _user_runtime_dir() -> Path | None:
    """Returns None where another user owns what would be this user's directory."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR, as under cron, there is a fallback; a warning would be noise on a bot's stderr.
        warnings.simplefilter("ignore")
        try:
            return Path(platformdirs.user_runtime_dir("vaultd"))
        except PermissionError:
            return None


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name, "")
    return Path(value) if value else None
