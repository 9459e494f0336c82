"""Backups in age's format (age-encryption.org/v1), by the library pyrage: plain `age -d` opens them, years from now too.

The recipient is a public key. Its private half, the identity, is needed to read a backup and never to make one: it
belongs on another machine, or on paper.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from vaultd_client.backups import invalid
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.files import write_whole

MARKS = (b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE")
"""How a file in age's format begins, and its form in letters."""
MARK_BYTES = max(len(mark) for mark in MARKS)
MAX_IDENTITY_BYTES = 65536


def _library() -> ModuleType:
    try:
        import pyrage
    except ImportError:
        text = "encrypted backups need the library pyrage"
        raise Failure(text, "pip install 'vaultd-client[backup]'", code=ExitCode.INVALID, reason="not_installed") from None
    found: ModuleType = pyrage
    return found


def recipients(texts: Sequence[str]) -> list[Any]:
    """Returns recipients: `age1...`, or an SSH public key.

    Raises:
        Failure: One is neither, or the library is missing.
    """
    library = _library()
    found = []
    for text in texts:
        kind = library.ssh if text.startswith("ssh-") else library.x25519
        try:
            found.append(kind.Recipient.from_str(text))
        except library.RecipientError:
            hint = "the public key of vaultctl backup keygen or age-keygen begins with age1"
            raise Failure("--recipient: that is not the public key of a recipient", hint, code=ExitCode.INVALID) from None
    return found


def encrypt(source: Any, target: BinaryIO, to: Sequence[Any]) -> None:
    """Reads `source` to its end and writes it to `target`, encrypted. Raises what reading and writing raise."""
    library, failed = _library(), list[Exception]()
    try:
        library.encrypt_io(_Told(source, failed), _Told(target, failed), list(to))
    except library.EncryptError:
        # The library's own error has taken the place of the one of a vault that stopped.
        if failed:
            raise failed[0] from None
        raise


class _Told:
    """A file that remembers its error."""

    def __init__(self, file: Any, failed: list[Exception]) -> None:
        self._file = file
        self._failed = failed

    def read(self, size: int = -1, /) -> Any:
        return self._tell(self._file.read, size)

    def write(self, data: Any, /) -> Any:
        return self._tell(self._file.write, data)

    def flush(self) -> Any:
        return self._tell(self._file.flush)

    def _tell(self, act: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return act(*arguments)
        except Exception as error:
            self._failed.append(error)
            raise


def make_identity(path: Path) -> str:
    """Writes a new identity file, 0600, as age-keygen does; returns the public key.

    Raises:
        Failure: The file exists or cannot be written.
    """
    identity = _library().x25519.Identity.generate()
    public = str(identity.to_public())
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = f"# created: {made}\n# public key: {public}\n{identity}\n"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise Failure(f"{path}: {os.strerror(error.errno or 0)}", "name a file that does not exist yet") from None
    return public


def _identities(path: Path) -> list[Any]:
    library = _library()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_IDENTITY_BYTES)
    except OSError as error:
        raise Failure(f"{path}: {os.strerror(error.errno or 0)}", "--identity names the file that keygen wrote") from None
    try:
        if raw.startswith(b"-----BEGIN"):
            return [library.ssh.Identity.from_buffer(raw)]
        lines = [line.strip() for line in raw.decode().splitlines()]
        return [library.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (library.IdentityError, ValueError):
        text = f"{path} is not an age identity"
        raise Failure(text, "--identity names the file that keygen wrote", code=ExitCode.INVALID) from None


class _Decrypted:
    """What a thread decrypts, as a stream; an error of it comes up where the stream would end."""

    def __init__(self, source: BinaryIO, identities: Sequence[Any]) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._stream = os.fdopen(reader, "rb")
        self._problem = ""
        self._thread = threading.Thread(target=self._decrypt, args=(source, writer, identities), daemon=True)
        self._thread.start()

    def _decrypt(self, source: BinaryIO, writer: int, identities: Sequence[Any]) -> None:
        try:
            with os.fdopen(writer, "wb") as target:
                _library().decrypt_io(source, target, list(identities))
        except BrokenPipeError:
            return  # Nobody wants the rest.
        except Exception as error:  # noqa: BLE001 - of a thread: told by `read`
            self._problem = str(error) or type(error).__name__

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        if not data:
            self._thread.join()
            if "No matching keys" in self._problem:
                text = "the backup is encrypted to another recipient than this identity's"
                raise Failure(text, "--identity names the file of its recipient", code=ExitCode.INVALID, reason="wrong_identity")
            if self._problem:
                raise invalid("it is cut off or damaged, and does not decrypt")
        return data

    def close(self) -> None:
        self._stream.close()
        self._thread.join()


@contextmanager
def opened(path: Path, identity: Path | None) -> Iterator[Any]:
    """Yields a stream of what a backup file holds, decrypted where it is encrypted.

    Raises:
        Failure: It cannot be read, or an identity is needed, or it is the wrong one.
        InvalidError: From the stream: it does not decrypt to its end.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        hint = "name the file that vaultctl backup wrote"
        raise Failure(f"{path}: {os.strerror(error.errno or 0)}", hint, code=ExitCode.NOT_FOUND, reason="no_file") from None
    with file:
        if not file.peek(MARK_BYTES).startswith(MARKS):
            yield file
            return
        if identity is None:
            text = "the backup is encrypted: the identity of its recipient is needed"
            raise Failure(text, f"vaultctl backup ... {path} --identity FILE", reason="identity_needed")
        stream = _Decrypted(file, _identities(identity))
        try:
            yield stream
        finally:
            stream.close()
