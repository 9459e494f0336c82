"""How both clients reach the public socket: a gRPC channel over a unix socket, without TLS, proxy or gRPC's retries."""

import os
from pathlib import Path
from urllib.parse import quote

from vaultd_client import paths
from vaultd_client.errors import InvalidError, NotRunningError, RefusedError
from vaultd_client.keys import ClientKey
from vaultd_client.session import Session

MAX_PATH_BYTES = 107
"""sockaddr_un.sun_path has 108 bytes with its final zero (unix(7))."""
MAX_REPLY_BYTES = 4 * 1024 * 1024

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    ("grpc.enable_http_proxy", 0),
    # Pings that measure a network's bandwidth, one with nearly every call. This is a unix socket.
    ("grpc.http2.bdp_probe", 0),
    # Only of calls that the server has turned away unseen, as in a burst; no policy of retries is ever set.
    ("grpc.enable_retries", 1),
    ("grpc.service_config_disable_resolution", 1),
    # Two channels to one path must not share a connection: the second may be meant for another daemon.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC waits a second to two minutes before it connects again; the next try must find a daemon that was restarted.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # How long one attempt to connect may take; despite its name no pause between two.
    ("grpc.min_reconnect_backoff_ms", 5000),
)

SocketPath = str | os.PathLike[str] | None
KeySource = ClientKey | str | os.PathLike[str] | None


def socket_path(given: SocketPath) -> Path:
    """Returns the path of the public socket, found where none is given.

    Raises:
        InvalidError: It is longer than a unix socket's path can be.
    """
    path = paths.public_socket() if given is None else Path(given)
    check_length(path)
    return path


def check_length(path: Path) -> None:
    """Raises InvalidError where `path` is longer than a unix socket's path can be."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidError(
            f"the socket path {path} is too long",
            reason="CONFIG_INVALID",
            fields={"socket": f"must have {MAX_PATH_BYTES} bytes or fewer"},
            hint="choose a shorter path, or set VAULTD_RUNTIME_DIR to a shorter directory",
        )


def target(path: Path) -> str:
    """Returns gRPC's name of a unix socket; gRPC decodes it like a URI."""
    return "unix:" + quote(os.fsencode(path))


def check_present(path: Path) -> None:
    """Returns where there is a socket. Where there is none, nothing needs a second try.

    Raises:
        NotRunningError: There is none.
        RefusedError: This user may not look: the runtime directory of another user is closed to all others.
    """
    try:
        path.lstat()
    except PermissionError:
        raise RefusedError(
            f"uid {os.geteuid()} may not reach {path}, which is in a directory of another user",
            hint="run it as that user; for bots of other users, make it a service: sudo vaultctl system install",
        ) from None
    except OSError:
        raise NotRunningError(f"no socket at {path}") from None


def session(key: KeySource, timeout: float) -> Session:
    """Returns the session of a client; its key is read with the first signed call."""
    if isinstance(key, ClientKey):
        return Session(lambda: key, int(timeout * 1000))
    return Session(lambda: ClientKey.load(paths.key_file() if key is None else key), int(timeout * 1000))
