"""The recovery code: 20 random bytes as text that a person can write down and type in.

Eight groups of five characters in Crockford's base32 (no I, L, O, U), such as `7K2QD-M0X5R-...`. The first four
characters of a group carry 20 bits. The fifth makes 2*a + 4*b + 8*c + 16*d + e equal to the group's number (0 to 7), in
GF(32) modulo x^5 + x^2 + 1. The five weights differ, so that in each group every wrong character and every swap of two
is found; the number on the right side finds groups in the wrong order. The group is named. Anything else that is wrong
in a group passes one time in 32, and then the vault says that the code opens nothing.

The checksum protects a person from a slip and nothing from an attacker: it is computed from the code alone.
"""

import os

from vaultd_client.errors import InvalidError

CODE_BYTES = 20
"""160 bits: no Argon2id cost is needed on top, and the text has no padding."""
GROUPS = 8
GROUP_CHARACTERS = 5

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_WEIGHTS = (2, 4, 8, 16)
_FIELD = 0b100101
"""x^5 + x^2 + 1, irreducible."""
_SEPARATORS = "-\u2010\u2011\u2012\u2013\u2014 \t\r\n.,_"
_HINT = "compare it with what you wrote down, and type the whole code again"


def generate() -> bytearray:
    """Returns a new recovery code, 20 random bytes."""
    return bytearray(os.urandom(CODE_BYTES))


def encode(code: bytes | bytearray | memoryview) -> str:
    """Returns the text of a recovery code of 20 bytes: 8 groups of 5 characters, with hyphens between."""
    if len(code) != CODE_BYTES:
        raise ValueError(f"a recovery code has {CODE_BYTES} bytes")
    number = int.from_bytes(code, "big")
    groups = []
    for index in range(GROUPS):
        chunk = (number >> 20 * (GROUPS - 1 - index)) & 0xFFFFF
        values = [(chunk >> shift) & 31 for shift in (15, 10, 5, 0)]
        groups.append("".join(_ALPHABET[value] for value in [*values, _weighted(values) ^ index]))
    return "-".join(groups)


def decode(text: str) -> bytearray:
    """Returns the 20 bytes of a typed recovery code.

    Case, spaces, hyphens and line ends do not matter; O is read as 0, I and L as 1.

    Raises:
        InvalidError: A character is missing, too many or wrong; the message names the group, counted from 1.
    """
    groups = _split(text.upper())
    number = 0
    for index, group in enumerate(groups):
        values = [_VALUES.get(character, -1) for character in group]
        if min(values) < 0:
            raise _invalid(f"group {index + 1} has a character that no recovery code has")
        *data, check = values
        if _weighted(data) ^ check != index:
            raise _invalid(f"group {index + 1} has a typing error or is in the wrong place")
        for value in data:
            number = number << 5 | value
    return bytearray(number.to_bytes(CODE_BYTES, "big"))


def _split(text: str) -> list[str]:
    typed = "".join(" " if character in _SEPARATORS else character for character in text).split()
    characters = "".join(typed)
    wanted = GROUPS * GROUP_CHARACTERS
    if len(characters) == wanted:
        return [characters[start : start + GROUP_CHARACTERS] for start in range(0, wanted, GROUP_CHARACTERS)]
    if len(typed) == GROUPS:
        index, group = next((i, group) for i, group in enumerate(typed) if len(group) != GROUP_CHARACTERS)
        raise _invalid(f"group {index + 1} has {len(group)} characters instead of {GROUP_CHARACTERS}")
    raise _invalid(f"a recovery code has {GROUPS} groups of {GROUP_CHARACTERS} characters; this one has {len(characters)}")


def _weighted(values: list[int]) -> int:
    total = 0
    for weight, value in zip(_WEIGHTS, values, strict=True):
        total ^= _times(weight, value)
    return total


def _times(left: int, right: int) -> int:
    product = 0
    while left:
        if left & 1:
            product ^= right
        left >>= 1
        right <<= 1
        if right & 32:
            right ^= _FIELD
    return product


def _invalid(text: str) -> InvalidError:
    return InvalidError("the recovery code is not right", fields={"recovery_code": text}, hint=_HINT)
