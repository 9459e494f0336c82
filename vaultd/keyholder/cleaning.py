r"""Values of a key pair as they came: cleaned of what copying adds, refused where cleaning would be a guess.

ccxt cleans nothing: a line end behind an API key travels in a header, one behind a secret changes every signature, and a
PEM with `\n` written out does not load. So outer blanks go, a PEM block gets the lines it should have, and a blank or a
look-alike letter inside a value, of which nobody knows whether it was meant, is refused. A value that a person made up
(`Field.verbatim`: a passphrase) is kept to the letter.
"""

import re
from typing import Final

from vaultd import limits
from vaultd.crypto import pem

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*)-----END \1-----", re.DOTALL)
_PARAMETERS: Final = re.compile(r"-----BEGIN EC PARAMETERS-----[A-Za-z0-9+/=\s]*-----END EC PARAMETERS-----")
"""`openssl ecparam -genkey` writes it before the key, which names its curve itself.

Nothing before its first dash: a search that may begin at any of many blanks tries them all from each."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LINE: Final = 64  # RFC 7468, section 2


def cleaned(value: str, *, verbatim: bool = False) -> str:
    r"""Returns a value without outer blanks; a PEM block in lines of 64, whatever it came in (CRLF, literal \n, blanks)."""
    if verbatim:
        return value
    clean = value.strip()
    return _block(clean) if pem.BEGIN in clean else clean


def is_pem(value: str) -> bool:
    """Says whether a cleaned value is to be read as PEM."""
    return pem.BEGIN in value


def problem(value: str, *, verbatim: bool = False, free: bool = False) -> str:
    """Returns what is wrong with a cleaned value, empty where nothing is. Never quotes it.

    Args:
        value: The value.
        verbatim: Blanks and letters of any script may be meant.
        free: A free entry, of which nothing is known: the same.
    """
    if len(value.encode()) > limits.MAX_FIELD_BYTES:
        return f"must be at most {limits.MAX_FIELD_BYTES} bytes"
    in_lines = is_pem(value) and not verbatim
    if any((ord(char) < 32 or 127 <= ord(char) < 160) and not (in_lines and char == "\n") for char in value):
        return "must not hold control characters"
    if in_lines and not value.startswith(pem.BEGIN):
        return "has text before its private key: paste from -----BEGIN to -----END"
    if verbatim or free or in_lines:
        return ""
    if any(char.isspace() for char in value):
        return "must not have a blank inside: copy it again, alone and whole"
    if not value.isascii():
        return "must be plain ASCII: a letter of another script only looks alike, so copy it from the exchange's page"
    return ""


def _block(value: str) -> str:
    lines = value.replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").replace("\r", "\n").strip()
    found = _BLOCK.fullmatch(_PARAMETERS.sub("", lines, count=1).strip())
    body = "".join(found[2].split()) if found else ""
    if not found or not _BASE64.fullmatch(body):
        return lines + "\n"  # headers of an encrypted block, two blocks, or half of one: `crypto.pem` says which
    wrapped = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([f"-----BEGIN {found[1]}-----", *wrapped, f"-----END {found[1]}-----", ""])
