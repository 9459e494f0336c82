"""An HTTP server that is one of nine exchanges: it verifies signatures as that exchange does, or answers with garbage."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.venue_keys import Call, Venue
from tests.support.venue_rules import VENUES, Reply

CANARY = "canary-5e1f-of-the-exchange"
"""In every answer that a garbling server gives."""


def _garbled(venue: Venue, call: Call) -> Reply:
    """Answers with what no exchange should: every secret it has, and what it was sent."""
    leak = " ".join([CANARY, *(key.secret for key in venue.keys.values()), *call.headers.values(), call.target])
    page = f"<!DOCTYPE html><html><body>{leak}</body></html>"
    return {
        "html": (200, page),
        "html-401": (401, page),
        "html-403": (403, page),
        "error-with-secrets": (400, {"error": leak, "msg": leak, "message": leak, "code": 777, "retCode": 777, "label": leak}),
        "answer-with-secrets": (200, {"result": {"client_secret": leak}, "data": leak, "perms": leak}),
        "text": (200, leak),
        "list": (200, [leak, {"a": leak}]),
        "nothing": (200, ""),
    }[venue.behaviour]


BEHAVIOURS = ("html", "html-401", "html-403", "error-with-secrets", "answer-with-secrets", "text", "list", "nothing")


@contextmanager
def venue_of(kind: str) -> Iterator[Venue]:
    """Starts the server of one exchange on a port of this host."""
    venue = Venue(kind)

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            call = Call(self.command, path, query, dict(self.headers.items()), body, self.headers["Host"])
            venue.calls.append(call)
            if venue.behaviour == "silent":
                venue.stop.wait()
                return
            if venue.behaviour == "drip":
                self._drip()
                return
            if venue.behaviour == "elsewhere":
                self.send_response(307)
                self.send_header("Location", f"http://localhost:{venue.port}/elsewhere")
                self.end_headers()
                return
            status, answer = VENUES[kind](venue, call) if venue.behaviour == "sound" else _garbled(venue, call)
            content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _handle  # noqa: N815  names of http.server

        def _drip(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while not venue.stop.wait(0.2):  # never an answer, never silence
                    self.wfile.write(b" ")
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    venue.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield venue
    finally:
        venue.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
