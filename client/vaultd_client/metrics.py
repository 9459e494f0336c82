"""The daemon's metrics, read from metrics.sock."""

import os
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from vaultd_client import paths
from vaultd_client.channel import check_length
from vaultd_client.errors import InternalError, NotRunningError, RefusedError, TimedOutError

HINT = "run it as the owner of the vault, or let this user read them: sudo usermod --append --groups vaultd-metrics USER"


class _Connection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def read(path: Path | None = None, *, timeout: float = 5.0) -> str:
    """Returns the metrics as Prometheus text (exposition format 0.0.4).

    Args:
        path: Path of the socket; where None, `paths.metrics_socket()`.
        timeout: Seconds to wait.

    Raises:
        NotRunningError, RefusedError, TimedOutError: As at the other sockets.
        InternalError: What answers there is not vaultd.
    """
    path = path or paths.metrics_socket()
    check_length(path)
    connection = _Connection(path, timeout)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except TimeoutError:
        raise TimedOutError("vaultd did not answer in time") from None
    except PermissionError:
        raise RefusedError(f"uid {os.geteuid()} may not open {path}", hint=HINT) from None
    except OSError:
        raise NotRunningError(f"nobody listens at {path}") from None
    except (HTTPException, ValueError):
        raise InternalError(f"what answers at {path} is not vaultd", reason="PROTOCOL_VIOLATION") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise InternalError(f"what answers at {path} is not vaultd", reason="PROTOCOL_VIOLATION")
    return text
