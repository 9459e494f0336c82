"""Private keys in PEM, as exchanges take them in place of a secret: read once when they come in, and described.

Nothing is kept of the key but its public half. Threat: a key that is encrypted, public, damaged or of another kind is
found out by the bot, at three in the morning. Measure: what a bot could not use never gets in. Limit: whether the
exchange has the public half is for a person to compare.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vaultd.limits import MAX_RSA_BITS, MIN_RSA_BITS

BEGIN: Final = "-----BEGIN"
_CURVES: Final = {"secp256r1": "EC P-256", "secp384r1": "EC P-384", "secp521r1": "EC P-521"}
_UNREADABLE: Final = "is not a private key that can be read: paste all of it, from -----BEGIN to -----END"


class UnusableKeyError(ValueError):
    """The PEM holds no private key that a bot can use; the text says why and what to do, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class PublicHalf:
    """What may be told of a private key: its algorithm (`Ed25519`, `RSA`, `EC P-256` ...) and its public half.

    `der` is a SubjectPublicKeyInfo (RFC 5280, section 4.1), the form whose base64 exchanges show and take.
    """

    algorithm: str
    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `der` in hex: `openssl pkey -in KEY -pubout -outform DER | sha256sum` prints the same."""
        return hashlib.sha256(self.der).hexdigest()


def public_half(pem: str) -> PublicHalf:
    """Reads a private key and describes its public half.

    Args:
        pem: One block with real line ends.

    Raises:
        UnusableKeyError: It is encrypted, a public key, a certificate, damaged, or of a kind that nothing signs with.
    """
    label = pem.partition("\n")[0].removeprefix(BEGIN).removesuffix("-----").strip()
    if "ENCRYPTED" in pem:  # in the label (PKCS #8), or in a header of the block (RFC 1421)
        raise UnusableKeyError(
            "is encrypted, and a bot could not open it: hand over what `openssl pkey -in KEY` writes, the vault"
            " encrypts it"
        )
    if label == "OPENSSH PRIVATE KEY":
        raise UnusableKeyError(
            "is in the form of OpenSSH, which no exchange library reads: make a key with"
            " `openssl genpkey -algorithm ed25519`"
        )
    if "PUBLIC KEY" in label:
        raise UnusableKeyError("is a public key, which belongs at the exchange: hand over the private key it was made of")
    if "CERTIFICATE" in label:
        raise UnusableKeyError("is a certificate or a request for one: hand over the private key")
    if pem.count(BEGIN) > 1:
        raise UnusableKeyError("has more than one block: hand over the one of the private key alone")
    key = _loaded(pem.encode())
    if isinstance(key, Ed25519PrivateKey):
        algorithm = "Ed25519"
    elif isinstance(key, EllipticCurvePrivateKey):
        algorithm = _CURVES.get(key.curve.name, f"EC {key.curve.name}")
    elif isinstance(key, RSAPrivateKey):
        algorithm = "RSA"
    else:
        raise UnusableKeyError("is a key that cannot sign requests: exchanges take Ed25519, RSA or EC keys")
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicHalf(algorithm, der)


def _loaded(pem: bytes) -> object:
    try:
        # First without RSA's check of the primes, whose time grows with the third power of a size the caller chose.
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, RSAPrivateKey):
            if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                raise UnusableKeyError(f"is an RSA key of {key.key_size} bits: make one of {MIN_RSA_BITS} to {MAX_RSA_BITS}")
            parts = key.private_numbers()
            if max(parts.p.bit_length(), parts.q.bit_length()) > key.key_size:
                # Nobody has looked whether they are its factors: OpenSSL tries a longer one for a prime all the same.
                raise UnusableKeyError(_UNREADABLE)
            del parts
            key = load_pem_private_key(pem, None)
    except UnusableKeyError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise UnusableKeyError(_UNREADABLE) from None
    return key
