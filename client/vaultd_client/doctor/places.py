"""Where the vault is, by the daemon's own rules (vaultd/config.py): environment, settings file, defaults."""

import os
import pwd
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from vaultd_client import paths

SYSTEM_USER = "vaultd"


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one vault. `system` where systemd runs it; `owner` is the uid that its store must belong to."""

    system: bool
    owner: int
    public: Path
    unlock: Path
    data: Path
    anchor: Path
    key: Path
    settings: Path
    trouble: str = ""
    proc: Path = field(default=Path("/proc"))
    sys: Path = field(default=Path("/sys"))

    @property
    def database(self) -> Path:
        """The store."""
        return self.data / "vault.db"


def find(public: Path | None, unlock: Path | None, key: Path, environment: Mapping[str, str] | None = None) -> Places:
    """Finds the places of the vault whose public socket is, or would be, at `public`."""
    environment = os.environ if environment is None else environment
    public = public or paths.public_socket()
    system = public.parent == paths.SYSTEM_RUNTIME_DIR
    config = Path("/etc/vaultd") if system else Path(platformdirs.user_config_dir("vaultd"))
    settings = Path(environment.get("VAULTD_CONFIG") or config / "vaultd.toml")
    given, trouble = _read(settings)
    defaults = {
        "data_dir": "/var/lib/vaultd" if system else platformdirs.user_data_dir("vaultd"),
        "anchor_dir": "/var/lib/vaultd-anchor" if system else platformdirs.user_state_dir("vaultd"),
    }
    found = {
        name: Path(environment.get(f"VAULTD_{name.upper()}") or str(given.get(name, default)))
        for name, default in defaults.items()
    }
    return Places(
        system=system,
        owner=_owner(public, system=system),
        public=public,
        unlock=unlock or paths.unlock_socket(),
        data=found["data_dir"],
        anchor=found["anchor_dir"],
        key=key,
        settings=settings,
        trouble=trouble,
    )


def _read(path: Path) -> tuple[dict[str, object], str]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), ""
    except FileNotFoundError:
        return {}, ""
    except PermissionError:
        return {}, "closed to this user"
    except (OSError, ValueError):
        return {}, "cannot be read as TOML: vaultd would not start"


def _owner(public: Path, *, system: bool) -> int:
    if system:
        try:
            return pwd.getpwnam(SYSTEM_USER).pw_uid
        except KeyError:
            return 0
    try:
        return public.lstat().st_uid  # root looks at the vault of another user
    except OSError:
        return os.geteuid()
