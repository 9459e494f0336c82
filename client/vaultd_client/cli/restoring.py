"""Handing a backup to `vaultd restore`: the daemon's own program, for it writes the daemon's files as their owner."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vaultd_client import backups
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.throwaway import daemon
from vaultd_client.errors import error_for

CHUNK_BYTES = 1 << 20


def restore(
    header: backups.Header, stream: backups.Readable, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs `vaultd ARGUMENTS` and gives it the backup on its stdin; returns what it has done.

    Raises:
        VaultClientError: What it says is wrong; nothing was changed.
        InvalidError: The file is not whole; nothing was changed.
    """
    process = subprocess.Popen(  # noqa: S603 - the daemon that is installed beside this program
        [daemon(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment or os.environ),
    )
    with process:
        problem: Exception | None = None
        assert process.stdin is not None
        try:
            for piece in backups.whole(header, _pieces(stream)):
                process.stdin.write(piece)
        except BrokenPipeError:
            pass  # It has seen enough, and says why.
        except Exception as error:  # noqa: BLE001 - raised below, when it has ended and cleaned up
            problem = error
        out, err = process.communicate()
    answer = _answer(out)
    if problem is not None:
        raise problem
    if "error" in answer:
        refused = answer["error"]
        raise error_for(str(refused["reason"]), str(refused["message"]), metadata=refused.get("metadata"))
    if process.returncode or "generation" not in answer:
        last = (err.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise Failure(f"vaultd restore failed: {last}", "vaultd restore --help", code=ExitCode.INTERNAL, reason="internal")
    return answer


def _pieces(stream: backups.Readable) -> Iterator[bytes]:
    while piece := stream.read(CHUNK_BYTES):
        yield piece


def _answer(out: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(out)
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}
