"""Where everything is and what may be tuned: defaults, then one TOML file, then the environment.

| setting | environment | user mode | system mode |
|---|---|---|---|
| runtime_dir | VAULTD_RUNTIME_DIR | $XDG_RUNTIME_DIR/vaultd | /run/vaultd |
| socket | VAULTD_SOCKET | runtime_dir/vaultd.sock | the same |
| unlock_socket | VAULTD_UNLOCK_SOCKET | runtime_dir/unlock.sock | the same |
| metrics_socket | VAULTD_METRICS_SOCKET | runtime_dir/metrics.sock | the same |
| data_dir | VAULTD_DATA_DIR | $XDG_DATA_HOME/vaultd | /var/lib/vaultd |
| anchor_dir | VAULTD_ANCHOR_DIR | $XDG_STATE_HOME/vaultd | /var/lib/vaultd-anchor |
| keyholder_socket | VAULTD_KEYHOLDER_SOCKET | none: the server starts the keyholder | runtime_dir/link.sock |
| credentials_socket | VAULTD_CREDENTIALS_SOCKET | none | what systemd passes |
| credentials_wait_seconds | | 75 | the same |
| keyholder_user, server_user | | | vaultd-keyholder, vaultd |
| unlock_group | | none: the owner alone | vaultd-admin |
| metrics_names = true | | no names of exchanges in metrics | the same |
| [kdf] memory_kib, passes, lanes | | what init measured | the same |

The file is VAULTD_CONFIG, else $XDG_CONFIG_HOME/vaultd/vaultd.toml, in system mode /etc/vaultd/vaultd.toml.
"""

import os
import tomllib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from vaultd import limits
from vaultd.errors import ConfigInvalidError
from vaultd.model import KdfParameters

_PATHS = (
    "runtime_dir",
    "socket",
    "unlock_socket",
    "metrics_socket",
    "keyholder_socket",
    "credentials_socket",
    "data_dir",
    "anchor_dir",
)
_NAMES = ("keyholder_user", "server_user", "unlock_group")
_KNOWN = {*_PATHS, *_NAMES, "credentials_wait_seconds", "metrics_names", "kdf"}
_KDF_BOUNDS = {
    "memory_kib": (limits.ARGON2_MIN_MEMORY_KIB, limits.ARGON2_MAX_MEMORY_KIB),
    "passes": (limits.ARGON2_MIN_PASSES, limits.ARGON2_MAX_PASSES),
    "lanes": (1, limits.ARGON2_MAX_LANES),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one daemon. `keyholder_socket` is None where the server starts the keyholder itself.

    `credentials_socket` is None where only systemd makes that socket, or nobody does.
    """

    system: bool
    runtime_dir: Path
    socket: Path
    unlock_socket: Path
    metrics_socket: Path
    inner_socket: Path
    database: Path
    anchor: Path
    keyholder_socket: Path | None
    credentials_socket: Path | None
    credentials_wait_seconds: int
    keyholder_user: str
    server_user: str
    unlock_group: str
    metrics_names: bool
    kdf_floor: KdfParameters | None


def load(*, system: bool, environment: Mapping[str, str] | None = None) -> Config:
    """Reads the settings.

    Raises:
        ConfigInvalidError: Names the setting that is wrong.
    """
    environment = os.environ if environment is None else environment
    settings = _defaults(system=system)
    settings |= _file(_config_file(environment, system=system), required="VAULTD_CONFIG" in environment)
    for name in _PATHS:
        if environment.get(f"VAULTD_{name.upper()}"):
            settings[name] = environment[f"VAULTD_{name.upper()}"]
    if "runtime_dir" not in settings:
        raise ConfigInvalidError(
            "another user has made the directory below /tmp where the sockets go without XDG_RUNTIME_DIR:"
            " log in anew, which sets it, or set VAULTD_RUNTIME_DIR",
            fields={"runtime_dir": "is needed"},
        )
    for name in _PATHS:
        if name in settings and not Path(str(settings[name])).is_absolute():
            raise ConfigInvalidError(f"{name} must be an absolute path", fields={name: "must be an absolute path"})
    runtime = Path(settings["runtime_dir"])
    link = settings.get("keyholder_socket") or (runtime / "link.sock" if system else None)
    return Config(
        system=system,
        runtime_dir=runtime,
        socket=Path(settings.get("socket", runtime / "vaultd.sock")),
        unlock_socket=Path(settings.get("unlock_socket", runtime / "unlock.sock")),
        metrics_socket=Path(settings.get("metrics_socket", runtime / "metrics.sock")),
        inner_socket=runtime / "inner" / "grpc.sock",
        database=Path(settings["data_dir"]) / "vault.db",
        anchor=Path(settings["anchor_dir"]) / "anchor",
        keyholder_socket=None if link is None else Path(link),
        credentials_socket=Path(settings["credentials_socket"]) if settings.get("credentials_socket") else None,
        credentials_wait_seconds=_wait(settings.get("credentials_wait_seconds", limits.CREDENTIAL_WAIT_SECONDS)),
        keyholder_user=str(settings.get("keyholder_user", "vaultd-keyholder")),
        server_user=str(settings.get("server_user", "vaultd")),
        unlock_group=str(settings["unlock_group"]),
        metrics_names=_truth(settings, "metrics_names"),
        kdf_floor=_kdf(settings.get("kdf")),
    )


def _defaults(*, system: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if system:
        return {
            "runtime_dir": "/run/vaultd",
            "data_dir": "/var/lib/vaultd",
            "anchor_dir": "/var/lib/vaultd-anchor",
            "unlock_group": "vaultd-admin",
        }
    with warnings.catch_warnings(), suppress(PermissionError):  # another user has made it
        # Without XDG_RUNTIME_DIR there is a fallback; bind_public refuses it where it is not ours.
        warnings.simplefilter("ignore")
        found["runtime_dir"] = platformdirs.user_runtime_dir("vaultd")
    return {
        **found,
        "data_dir": platformdirs.user_data_dir("vaultd"),
        "anchor_dir": platformdirs.user_state_dir("vaultd"),
        "unlock_group": "",
    }


def _config_file(environment: Mapping[str, str], *, system: bool) -> Path:
    if environment.get("VAULTD_CONFIG"):
        return Path(environment["VAULTD_CONFIG"])
    return Path("/etc/vaultd" if system else platformdirs.user_config_dir("vaultd")) / "vaultd.toml"


def _file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigInvalidError(f"{path} is not there") from None
        return {}
    except (OSError, ValueError):
        raise ConfigInvalidError(f"{path} cannot be read as TOML") from None
    unknown = sorted(set(settings) - _KNOWN)
    if unknown:
        raise ConfigInvalidError(f"{path}: {unknown[0]} is not a setting", fields={unknown[0]: "is not a setting"})
    return settings


def _truth(settings: Mapping[str, Any], name: str) -> bool:
    given = settings.get(name, False)
    if not isinstance(given, bool):
        raise ConfigInvalidError(f"{name} must be true or false", fields={name: "must be true or false"})
    return given


def _wait(given: Any) -> int:
    if type(given) is not int or not 0 <= given <= limits.MAX_CREDENTIAL_WAIT_SECONDS:
        problem = f"must be whole seconds, 0 to {limits.MAX_CREDENTIAL_WAIT_SECONDS}"
        raise ConfigInvalidError(
            f"credentials_wait_seconds {problem}", fields={"credentials_wait_seconds": problem}
        )
    return given


def _kdf(given: Any) -> KdfParameters | None:
    if given is None:
        return None
    names = ("memory_kib", "passes", "lanes")
    if not isinstance(given, dict) or set(given) != set(names) or any(type(given[name]) is not int for name in names):
        raise ConfigInvalidError("[kdf] needs memory_kib, passes and lanes, whole numbers", fields={"kdf": "is wrong"})
    for name, (least, most) in _KDF_BOUNDS.items():
        if not least <= given[name] <= most:
            # Found here, not at the next unlock, which could not upgrade the slot and would have to refuse.
            raise ConfigInvalidError(f"[kdf] {name} must be {least} to {most}", fields={"kdf": f"{name} is wrong"})
    return KdfParameters(*(given[name] for name in names))
