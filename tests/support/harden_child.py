"""The program of the hardening tests' processes: `python harden_child.py ROLE ARGUMENTS...`.

A role is a function of this file. It reads what it is told on stdin and answers with JSON lines on stdout.
"""

import ctypes
import json
import mmap
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import argon2.low_level
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tests.support.syscalls import attempts, call, forbid, ptrace, raw, tried
from vaultd.keyholder.harden import harden_early, memory_hygiene_check, seal
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.limits import KIB, MIB, SECRET_PAGE_BYTES

NOBODY = 65534


def say(value: Any) -> None:
    """Writes one JSON line."""
    os.write(1, json.dumps(value).encode() + b"\n")


def become_nobody() -> None:
    """Makes the process one of an ordinary user: the kernel makes one that changes its uid undumpable."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    call("prctl", 4, 1, 0, 0, 0)


def open_fds() -> list[int]:
    """Returns the descriptors open now, without /proc."""
    return [fd for fd in range(256) if tried(lambda fd=fd: os.fstat(fd)) == "done"]  # type: ignore[misc]


def fork_and_look(view: memoryview) -> int:
    """Returns how a fork ends that looks at `view`: 0 or a signal."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os._exit(0 if view[0] >= 0 else 1)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def holder(kind: str, guard: str) -> None:
    """Holds a secret from stdin, in one kind of memory, until stdin ends."""
    become_nobody()
    if guard == "unlockable":
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 * KIB, 64 * KIB))
    if guard == "hardened":
        harden_early(os.getppid(), ())
    if kind == "fallback":
        forbid("memfd_secret")
    fds = open_fds()
    told: dict[str, Any] = {"pid": os.getpid()}
    if kind == "heap":
        view = memoryview(bytearray(32))
    else:
        memory = SecretMemory(256 * KIB)
        told["memory"] = astuple(memory.check)
        buffer = memory.allocate(32)
        view = buffer.view
    assert os.readv(0, [view]) == len(view)
    told["new_fds"] = sorted(set(open_fds()) - set(fds))
    told["address"] = ctypes.addressof(ctypes.c_char.from_buffer(view))
    told["fork"] = fork_and_look(view)
    say(told)
    os.read(0, 1)


def attacker(victim: str, address: str) -> None:
    """Tries to read another process of the same user."""
    pid = int(victim)
    place = Path("/proc") / victim
    become_nobody()
    pidfd = os.pidfd_open(pid)
    here = ctypes.create_string_buffer(8)
    local, remote = struct.pack("=QQ", ctypes.addressof(here), 8), struct.pack("=QQ", int(address), 8)
    say(
        {
            "mem": tried(lambda: (place / "mem").open("rb", 0).close()),
            "environ": tried(lambda: (place / "environ").open("rb", 0).close()),
            "maps": tried(lambda: (place / "maps").open("rb", 0).close()),
            "fd": tried(lambda: list((place / "fd").iterdir())),
            "map_files": tried(lambda: list((place / "map_files").iterdir())),
            "process_vm_readv": tried(lambda: call("process_vm_readv", pid, local, 1, remote, 1, 0)),
            "pidfd_getfd": tried(lambda: os.close(raw(438, pidfd, 0, 0))),
            "ptrace": tried(lambda: ptrace(pid)),
        }
    )


def crasher(guard: str) -> None:
    """Waits to crash, with a secret in ordinary memory."""
    secret = bytearray(32)
    assert os.readv(0, [secret]) == len(secret)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if guard == "hardened":
        harden_early(os.getppid(), ())
    elif guard == "dumpable_only":
        call("prctl", 4, 0, 0, 0, 0)
    say({"core_limit": resource.getrlimit(resource.RLIMIT_CORE)})
    os.read(0, 1)


def parent(guard: str) -> None:
    """Starts a holder, which shares stdin and stdout, and waits to be killed."""
    with subprocess.Popen([sys.executable, "-s", "-P", __file__, "holder", "heap", guard]):
        signal.pause()


def early(parent_pid: str, *keep: str) -> None:
    """Shows what `harden_early` changes."""
    if missing := os.environ.get("MISSING"):
        forbid(missing)
    before = open_fds()
    checks = harden_early(int(parent_pid), [int(fd) for fd in keep])
    say(
        {
            "before": before,
            "after": open_fds(),
            "umask": os.umask(0o077),
            "checks": [astuple(check) for check in checks],
        }
    )


def hygiene() -> None:
    """Checks the memory twenty times, as an unprivileged process that is not dumpable."""
    become_nobody()
    harden_early(os.getppid(), ())
    if missing := os.environ.get("MISSING"):
        forbid(missing)
    say([astuple(memory_hygiene_check()) for _ in range(20)])


def sealed_and_not() -> None:
    """Tries everything, seals itself, tries again."""
    lives, dies = os.pipe()
    victim = os.fork()
    if victim == 0:
        os.close(dies)
        os.read(lives, 1)
        os._exit(0)
    link, _other = socket.socketpair()
    turns = [threading.Event(), threading.Event(), threading.Event()]
    thread_told = {}

    def other_thread() -> None:
        for when, turn, done in (("before", turns[0], turns[1]), ("after", turns[2], turns[0])):
            turn.wait()
            turn.clear()
            thread_told[when] = tried(lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)))
            done.set()

    thread = threading.Thread(target=other_thread)
    thread.start()
    turns[0].set()
    turns[1].wait()
    told: dict[str, Any] = {
        "before": {name: tried(action) for name, action in attempts(victim, link, sealed=False).items()}
    }
    told["clone3"] = {"before": tried(lambda: raw(435))}
    after = attempts(victim, link, sealed=True)
    told["checks"] = [astuple(check) for check in seal()]
    turns[2].set()
    thread.join()
    told["after"] = {name: tried(action) for name, action in after.items()}
    told["clone3"]["after"] = tried(lambda: raw(435))
    say(told | {"thread": thread_told})


def foreign(kind: str, guard: str) -> None:
    """Makes a system call of x32 or of i386."""
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    page[:8] = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid of i386); int 0x80; ret
    i386 = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if guard == "sealed":
        seal()
    say(tried(lambda: raw(0x40000000 | 39)) if kind == "x32" else "done" if i386() == os.getpid() else "wrong")


def degraded(missing: str) -> None:
    """Hardens itself on a kernel that lacks one system call."""
    if missing:
        forbid(missing)
    name = f"\0vaultd-test-{os.getpid()}"
    outside = socket.socket(socket.AF_UNIX)
    outside.bind(name)
    outside.listen()

    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)

    def bind() -> None:
        with socket.socket(socket.AF_INET) as server:
            server.bind(("127.0.0.1", 0))

    actions: dict[str, Callable[[], Any]] = {
        "open": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "socket": lambda: socket.socket(socket.AF_INET).close(),
        "bind": bind,
        "abstract": connect,
        "kill": lambda: os.kill(os.getppid(), 0),
    }
    told: dict[str, Any] = {"before": {name: tried(action) for name, action in actions.items()}}
    checks = [SecretMemory(1).check, *seal()]
    told["after"] = {name: tried(action) for name, action in actions.items()}
    told["abi"] = next((int(check.detail.split()[1]) for check in checks if check.detail.startswith("ABI ")), 0)
    say(told | {"checks": [astuple(check) for check in checks]})


def primitives(memory: SecretMemory) -> bytes:
    """Uses every primitive of the keyholder with its keys in secret memory, and returns what is deterministic."""
    with memory.allocate(32) as key, memory.allocate(5) as plain:
        key.view[:] = bytes(range(32))
        sealed_text = AESGCM(key.view).encrypt(bytes(12), b"hello", b"aad")
        AESGCM(key.view).decrypt_into(bytes(12), sealed_text, b"aad", plain.view)
        assert bytes(plain.view) == b"hello"
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        recipient = X25519PrivateKey.from_private_bytes(key.view)
        assert suite.decrypt(suite.encrypt(plain.view, recipient.public_key(), b"info"), recipient, b"info") == b"hello"
        signer = Ed25519PrivateKey.from_private_bytes(key.view)
        signature = signer.sign(plain.view)
        signer.public_key().verify(signature, plain.view)
        derived = argon2.low_level.hash_secret_raw(
            b"passphrase", bytes(16), time_cost=1, memory_cost=256, parallelism=4, hash_len=32, type=argon2.Type.ID
        )
        return sealed_text + signature + derived


def keyholder(link_fd: str, listener_fd: str) -> None:
    """Is hardened in full as an unprivileged user, then serves: a selectors loop, a socket, a thread for Argon2id."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 * MIB, 8 * MIB))
    primitives(SecretMemory(1))
    become_nobody()
    checks = harden_early(os.getppid(), [int(link_fd), int(listener_fd)])
    memory = SecretMemory(SECRET_PAGE_BYTES)
    link, listener = socket.socket(fileno=int(link_fd)), socket.socket(fileno=int(listener_fd))
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    selector = selectors.DefaultSelector()
    for watched in (link, listener, wake):
        selector.register(watched, selectors.EVENT_READ, watched)
    known = primitives(memory)
    checks += [memory.check, memory_hygiene_check(), *seal()]
    results: list[bytes] = []

    def work() -> None:
        results.append(primitives(memory))
        os.write(waker, b"!")

    client = link
    say({"checks": [astuple(check) for check in checks]})
    while True:
        for event, _ in selector.select():
            if event.data is link:
                data = link.recv(16)
                if not data:
                    os._exit(0)
                link.sendmsg([data])
            elif event.data is listener:
                client, _ = listener.accept()
                client.settimeout(5)
                assert client.recv(16) == b"work"
                threading.Thread(target=work).start()
            else:
                assert os.read(wake, 8) == b"!"
                _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                told = {"uid": uid, "same": results == [known], "open": tried(lambda: os.open("/", os.O_RDONLY))}
                client.sendall(json.dumps(told).encode())
                client.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
