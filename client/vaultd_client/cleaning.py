r"""Values of a key pair, cleaned as the vault will clean them: for those who use or ask for one before it is stored.

The keyholder cleans and judges whatever comes in, and its word is the last; `vaultd/keyholder/cleaning.py` says why each
rule is there. A test holds the two together, value by value.
"""

import re

_BEGIN = "-----BEGIN"
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*)-----END \1-----", re.DOTALL)
_PARAMETERS = re.compile(r"-----BEGIN EC PARAMETERS-----[A-Za-z0-9+/=\s]*-----END EC PARAMETERS-----")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LINE = 64


def cleaned(value: str, *, verbatim: bool = False) -> str:
    r"""Returns a value without outer blanks; a PEM block in lines of 64, whatever it came in (CRLF, literal \n, blanks).

    Args:
        value: As it was handed over.
        verbatim: `KindField.verbatim`: a person made it up, so it is kept to the letter.
    """
    if verbatim:
        return value
    clean = value.strip()
    if _BEGIN not in clean:
        return clean
    lines = clean.replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").replace("\r", "\n").strip()
    found = _BLOCK.fullmatch(_PARAMETERS.sub("", lines, count=1).strip())
    body = "".join(found[2].split()) if found else ""
    if not found or not _BASE64.fullmatch(body):
        return lines + "\n"
    wrapped = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([f"-----BEGIN {found[1]}-----", *wrapped, f"-----END {found[1]}-----", ""])


def unusable(value: str) -> str:
    """Says why a pasted PEM will be refused, as far as its first lines tell; empty where they do not."""
    head = value.partition(_BEGIN)[2][:120]
    if "ENCRYPTED" in head:
        return "That private key is encrypted, and a bot could not open it. Paste what `openssl pkey -in KEY` prints."
    if "PUBLIC KEY" in head:
        return "That is a public key, which belongs at the exchange. Paste the private key that it was made of."
    return ""
