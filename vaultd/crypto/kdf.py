"""Slot keys: Argon2id of what a person knows (RFC 9106), HKDF of what a machine holds (RFC 5869).

Stored parameters are hostile until the integrity MAC was checked, and that needs the slot key first. So they are bounded
before any work, and bound into the slot's associated data. argon2-cffi's direct binding is used because its
high-level functions return the key as immutable bytes; here input and output stay in the caller's buffers.
"""

import secrets
import time

from argon2.low_level import ARGON2_VERSION, Type, core, ffi, lib  # type: ignore[attr-defined]  # it re-exports lib untyped
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vaultd import limits
from vaultd.crypto.aead import Buffer
from vaultd.errors import KdfOutOfBoundsError, OutOfMemoryError
from vaultd.model import KdfParameters


def check_bounds(parameters: KdfParameters) -> None:
    """Raises KdfOutOfBoundsError where the cost is below the floor or above the ceiling of `limits`."""
    problems = {}
    if not limits.ARGON2_MIN_MEMORY_KIB <= parameters.memory_kib <= limits.ARGON2_MAX_MEMORY_KIB:
        problems["memory_kib"] = f"must be {limits.ARGON2_MIN_MEMORY_KIB} to {limits.ARGON2_MAX_MEMORY_KIB}"
    if not limits.ARGON2_MIN_PASSES <= parameters.passes <= limits.ARGON2_MAX_PASSES:
        problems["passes"] = f"must be {limits.ARGON2_MIN_PASSES} to {limits.ARGON2_MAX_PASSES}"
    if not 1 <= parameters.lanes <= limits.ARGON2_MAX_LANES:
        problems["lanes"] = f"must be 1 to {limits.ARGON2_MAX_LANES}"
    if problems:
        raise KdfOutOfBoundsError(fields=problems)


def slot_key(secret: memoryview, salt: bytes, parameters: KdfParameters, out: memoryview) -> None:
    """Writes Argon2id(secret, salt) to `out` (32 bytes). Blocks for about a second without the GIL.

    Raises:
        KdfOutOfBoundsError: Before any work.
        OutOfMemoryError: The host has not enough memory.
    """
    check_bounds(parameters)
    if len(salt) != limits.SALT_BYTES:
        raise KdfOutOfBoundsError(fields={"salt": f"must be {limits.SALT_BYTES} bytes"})
    _argon2id(secret, salt, parameters, out)


def _argon2id(secret: memoryview, salt: bytes, parameters: KdfParameters, out: memoryview) -> None:
    held = [ffi.from_buffer("uint8_t[]", buffer) for buffer in (out, secret)]
    salt_c = ffi.new("uint8_t[]", salt)
    context = ffi.new(
        "argon2_context *",
        {
            "version": ARGON2_VERSION,
            "out": held[0],
            "outlen": len(out),
            "pwd": held[1],
            "pwdlen": len(secret),
            "salt": salt_c,
            "saltlen": len(salt),
            "secret": ffi.NULL,
            "secretlen": 0,
            "ad": ffi.NULL,
            "adlen": 0,
            "t_cost": parameters.passes,
            "m_cost": parameters.memory_kib,
            "lanes": parameters.lanes,
            "threads": parameters.lanes,
            "allocate_cbk": ffi.NULL,
            "free_cbk": ffi.NULL,
            "flags": lib.ARGON2_DEFAULT_FLAGS,
        },
    )
    code = core(context, Type.ID.value)
    for view in held:
        ffi.release(view)
    if code in (lib.ARGON2_MEMORY_ALLOCATION_ERROR, lib.ARGON2_THREAD_FAIL):
        raise OutOfMemoryError(metadata={"needed_kib": str(parameters.memory_kib)})
    if code != lib.ARGON2_OK:
        raise KdfOutOfBoundsError(metadata={"argon2_code": str(code)})


def machine_slot_key(secret: memoryview, salt: bytes, out: memoryview) -> None:
    """Writes HKDF-SHA256(secret, salt) to `out` (32 bytes). The secret is a random 256-bit key, so no cost is needed."""
    HKDF(algorithm=SHA256(), length=limits.KEY_BYTES, salt=salt, info=b"vaultd-machine-slot-v1").derive_into(
        secret, out
    )


def new_salt() -> bytes:
    """Returns a random salt, 16 bytes."""
    return secrets.token_bytes(limits.SALT_BYTES)


def derive(master_key: Buffer, vault_id: bytes, label: bytes, out: memoryview) -> None:
    """Writes HKDF-SHA256(master key, salt = vault id, info = label) to `out` (32 bytes)."""
    HKDF(algorithm=SHA256(), length=limits.KEY_BYTES, salt=vault_id, info=label).derive_into(master_key, out)


def measure(memory_kib: int, lanes: int) -> KdfParameters:
    """Returns parameters that take about `limits.ARGON2_TARGET_MS` here. Runs for about a third of that.

    The memory is halved until the host can give it; OutOfMemoryError below the floor.
    """
    while True:
        # A run of the floor's three passes: fewer would time the page faults of the first pass only.
        trial = KdfParameters(memory_kib, limits.ARGON2_MIN_PASSES, lanes)
        began = time.monotonic()
        try:
            slot_key(memoryview(bytearray(32)), bytes(limits.SALT_BYTES), trial, memoryview(bytearray(32)))
        except OutOfMemoryError:
            if memory_kib // 2 < limits.ARGON2_MIN_MEMORY_KIB:
                raise
            memory_kib //= 2
            continue
        per_pass = (time.monotonic() - began) * 1000 / trial.passes
        passes = round(limits.ARGON2_TARGET_MS / per_pass)
        return KdfParameters(
            memory_kib, min(max(passes, limits.ARGON2_MIN_PASSES), limits.ARGON2_MAX_PASSES), lanes
        )
