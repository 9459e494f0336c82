"""A keyholder's unlock socket as a script, for tests of the client of that socket."""

import json
import socket
import struct
import threading
from pathlib import Path
from typing import Any

PIN = {"vault_id": "00" * 16, "identity": "11" * 32}
UNLOCKED = PIN | {
    "generation": 7, "time_ms": 9, "integrity": "ok", "exchanges": 2, "clients": 1, "slot": 1, "upgraded": False,
    "restored": False, "suspended": 0,
}  # fmt: skip


def frame(document: object) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack(">II", len(text), 0) + text


class Listener:
    """A keyholder as a script: hands out `answers` one after the other and keeps what it received."""

    def __init__(self, path: Path) -> None:
        self.answers: list[bytes] = []
        self.received: list[tuple[dict[str, Any], list[bytes]]] = []
        self.connections = 0
        self.answered = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as stream:
                while self.answers and self._request(stream):
                    connection.sendall(self.answers.pop(0))
                    self.answered.set()

    def _request(self, stream: Any) -> bool:
        head = stream.read(8)
        if not head:
            return False
        header_length, secret_length = struct.unpack(">II", head)
        header = json.loads(stream.read(header_length))
        secrets = [stream.read(length) for length in header["secrets"]]
        assert sum(map(len, secrets)) == secret_length
        self.received.append((header, secrets))
        return True


def secret(text: str) -> bytearray:
    return bytearray(text.encode())
