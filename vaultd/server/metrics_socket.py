"""metrics.sock: enough of HTTP/1.0 for `curl --unix-socket`, for a proxy before Prometheus, and for `vaultctl metrics`.

Who may connect is decided by the socket's mode and group: counts of requests tell when somebody trades.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from vaultd import limits

log = logging.getLogger(__name__)
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsSocket:
    """Answers `GET /metrics`, one request a connection; without a listener, nobody."""

    def __init__(self, listener: socket.socket | None, text: Callable[[], Awaitable[str]]) -> None:
        self._listener = listener
        self._text = text
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begins to listen."""
        if self._listener is not None:
            self._server = await asyncio.start_unix_server(
                self._answer, sock=self._listener, limit=limits.METRICS_REQUEST_BYTES
            )

    async def stop(self) -> None:
        """Closes the socket."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= limits.METRICS_CONNECTIONS:
            writer.close()
            return
        self._open += 1
        try:
            async with asyncio.timeout(limits.METRICS_SECONDS):
                writer.write(await self._response(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # No request, or nobody who takes its answer.
        except Exception as error:  # noqa: BLE001  a defect here must not reach the event loop's own handler, with values
            log.error("metrics failed: %s", type(error).__name__)  # noqa: TRY400  a traceback may hold values
        finally:
            self._open -= 1
            writer.close()

    async def _response(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _http("400 Bad Request", "this is no HTTP/1 request\n", "text/plain")
        method, path = words[0], words[1].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _http("405 Method Not Allowed", "GET /metrics\n", "text/plain")
        if path not in (b"/", b"/metrics"):
            return _http("404 Not Found", "GET /metrics\n", "text/plain")
        return _http("200 OK", await self._text(), _TYPE, body=method == b"GET")


def _http(status: str, text: str, kind: str, *, body: bool = True) -> bytes:
    content = text.encode()
    head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (content if body else b"")
