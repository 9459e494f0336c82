"""Processes in the roles of `harden_child`, as the tests of the hardening start and examine them."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("harden_child.py")
HYGIENE = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0",
    "LD_BIND_NOW": "1",
}


class Child:
    """A process in one of the roles, told what to do on stdin, answering with JSON lines on stdout."""

    def __init__(self, *role: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", PROGRAM, *role],
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(HYGIENE if env is None else env)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=cwd,
            **options,
        )
        self.pid = self.process.pid

    def says(self) -> Any:
        """Returns the next line of the child."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended with {self.process.wait()}"
        return json.loads(line)

    def tell(self, data: bytes) -> None:
        """Writes to the child."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def memory_holds(pid: int, needle: bytes) -> bool:
    """Whether any memory of a process, as /proc shows it to this one, holds `needle`."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                try:
                    if needle in os.pread(memory.fileno(), end - start, start):
                        return True
                except OSError as error:
                    assert error.errno == errno.EIO, error
    return False


def held(kind: str, guard: str = "plain") -> tuple[Child, bytes, dict[str, Any]]:
    """Returns a child that holds a fresh secret, the secret, and where the child says it is."""
    secret = os.urandom(32)
    child = Child("holder", kind, guard)
    child.tell(secret)
    return child, secret, child.says()
