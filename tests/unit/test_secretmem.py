"""What secret memory promises: unreadable from outside, not inherited, wiped, and nothing given away by accident."""

import copy
import ctypes
import mmap
import os
import pickle
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.harden import held, memory_holds
from vaultd.errors import OutOfMemoryError
from vaultd.keyholder.secretmem import SecretMemory, wipe, wipe_bytes


@pytest.fixture
def memory() -> Iterator[SecretMemory]:
    """One page."""
    made = SecretMemory(1)
    yield made
    made.close()


def test_a_secret_in_secret_memory_cannot_be_read_from_outside() -> None:
    for kind, found in (("heap", True), ("secret", False)):
        child, secret, told = held(kind)
        with child:
            if kind == "secret" and not told["memory"][1]:
                pytest.skip("no memfd_secret here")
            assert memory_holds(child.pid, secret) == found
            assert told["new_fds"] == []  # root could map a descriptor's pages elsewhere


def test_a_fork_does_not_inherit_secret_memory() -> None:
    for kind, status in (("heap", 0), ("secret", signal.SIGSEGV), ("fallback", signal.SIGSEGV)):
        child, _, told = held(kind)
        with child:
            assert told["fork"] == status


def test_the_fallback_is_locked_and_beyond_the_limit_says_that_it_is_not() -> None:
    child, _, told = held("fallback")
    with child:
        assert told["memory"][1] is False
        assert told["memory"][2].endswith("forks, locked")
        locked = re.search(r"VmLck:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
        assert locked is not None
        assert int(locked[1]) == 256
    for kind, reason in (("secret", "EAGAIN"), ("fallback", "ENOSYS")):
        child, _, told = held(kind, "unlockable")
        with child:
            assert told["memory"][2].startswith(f"no memfd_secret ({reason})")
            assert told["memory"][2].endswith("not locked (ENOMEM)")


def test_a_buffer_is_wiped_when_closed_when_left_and_when_collected(memory: SecretMemory) -> None:
    def close_it() -> memoryview:
        buffer = memory.allocate(32)
        buffer.view[:] = bytes(range(1, 33))
        rest = buffer.view[:]
        assert bytes(rest) == bytes(range(1, 33))
        buffer.close()
        buffer.close()
        return rest

    def leave_it() -> memoryview:
        with memory.allocate(32) as buffer:
            buffer.view[:] = bytes(range(1, 33))
            return buffer.view[:]

    def drop_it() -> memoryview:
        buffer = memory.allocate(32)
        buffer.view[:] = bytes(range(1, 33))
        return buffer.view[:]

    for way in (close_it, leave_it, drop_it):
        with way() as rest:
            assert bytes(rest) == bytes(32), way


def test_space_is_reused_first_fit_aligned_and_runs_out_with_an_error(memory: SecretMemory) -> None:
    def address(view: memoryview) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(view))

    buffers = [memory.allocate(17) for _ in range(mmap.PAGESIZE // 32)]
    places = [address(buffer.view) for buffer in buffers]
    assert [place - places[0] for place in places] == list(range(0, mmap.PAGESIZE, 32))
    with pytest.raises(OutOfMemoryError):
        memory.allocate(1)
    for index in (7, 8, 3):
        buffers[index].close()
    with memory.allocate(33) as wide, memory.allocate(16) as first, memory.allocate(16) as second:
        assert address(wide.view) == places[7]
        assert [address(first.view), address(second.view)] == [places[3], places[3] + 16]
    assert len(buffers[0]) == 17


def test_two_threads_never_get_the_same_place() -> None:
    memory = SecretMemory(64 * mmap.PAGESIZE)
    clashes = []

    def use(mark: int) -> None:
        for round_ in range(300):
            with memory.allocate(16 + round_ % 50) as buffer:
                buffer.view[:] = bytes([mark]) * len(buffer)
                clashes.extend([] if set(buffer.view) == {mark} else [mark])

    threads = [threading.Thread(target=use, args=(mark,)) for mark in range(1, 9)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(usual)
    memory.close()
    assert clashes == []


def test_a_buffer_gives_nothing_away_by_accident(memory: SecretMemory) -> None:
    with memory.allocate(8) as buffer:
        buffer.view[:] = b"sekret!!"
        assert "sekret" not in f"{buffer} {buffer!r}"

        def equals(it: object) -> bool:
            return it == b"sekret!!"

        accidents: list[Callable[[Any], Any]]
        accidents = [bytes, list, iter, hash, copy.copy, copy.deepcopy, pickle.dumps, equals]
        for accident in accidents:
            with pytest.raises(TypeError):
                accident(buffer)
        assert bytes(buffer.view) == b"sekret!!"
    with pytest.raises(ValueError, match="released"):
        len(buffer.view)


def test_memory_with_a_view_in_use_is_wiped_but_not_taken_away() -> None:
    memory = SecretMemory(1)
    exported, sliced = memory.allocate(4), memory.allocate(4)
    exported.view[:] = sliced.view[:] = b"abcd"
    library = pickle.PickleBuffer(exported.view)
    piece = sliced.view[1:]
    assert bytes(piece) == b"bcd"
    with pytest.raises(BufferError):
        memory.close()
    assert bytes(piece) == bytes(3)
    assert bytes(library.raw()) == bytes(4)
    library.release()
    with pytest.raises(BufferError):
        memory.close()
    piece.release()
    memory.close()
    with pytest.raises(ValueError, match="released"):
        memory.allocate(1)


def test_wipe_zeroes_every_writable_buffer_and_refuses_others() -> None:
    for buffer in (bytearray(b"abc"), bytearray(), memoryview(bytearray(b"abcdef"))[2:4], mmap.mmap(-1, 4096)):
        wipe(buffer)
        assert not any(bytes(buffer))
    for refused in (b"abc", memoryview(b"abc"), memoryview(bytearray(b"abcdef"))[::2]):
        with pytest.raises(TypeError):
            wipe(refused)
        assert bytes(refused)[0] == ord("a")


def test_wipe_bytes_zeroes_what_one_variable_holds_and_nothing_that_is_shared() -> None:
    alone = os.urandom(64)
    wipe_bytes(alone)
    assert alone == bytes(64)
    for size in (0, 1):
        wipe_bytes(os.urandom(size))
    assert [bytes([value])[0] for value in range(256)] == list(range(256))
    shared = os.urandom(64)
    holder = [shared]
    with pytest.raises(ValueError, match="another holder"):
        wipe_bytes(shared)
    assert holder[0] != bytes(64)
    constant = b"a constant of this function"
    with pytest.raises(ValueError, match="another holder"):
        wipe_bytes(constant)
    with pytest.raises(TypeError):
        wipe_bytes(bytearray(b"abc"))  # type: ignore[arg-type]
