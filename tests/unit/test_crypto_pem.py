"""Private keys in PEM: what a bot can sign with is described by its public half, all else is refused with what to do."""

import math
import subprocess
import time
from base64 import b64encode
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from vaultd.crypto.pem import UnusableKeyError, public_half

ED25519 = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"  # RFC 8410, section 10.3
ED25519_PUBLIC = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="  # RFC 8410, section 10.1


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def written(
    key: object, form: PrivateFormat = PrivateFormat.PKCS8, lock: KeySerializationEncryption | None = None
) -> str:
    made: bytes = key.private_bytes(Encoding.PEM, form, lock or NoEncryption())  # type: ignore[attr-defined]
    return made.decode()


def block(label: str, body: str) -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("Ed25519", lambda: written(ed25519.Ed25519PrivateKey.generate())),
        ("RSA", lambda: written(rsa_key())),
        ("RSA", lambda: written(rsa_key(), PrivateFormat.TraditionalOpenSSL)),
        ("EC P-256", lambda: written(ec.generate_private_key(ec.SECP256R1()))),
        ("EC P-256", lambda: written(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL)),
        ("EC P-384", lambda: written(ec.generate_private_key(ec.SECP384R1()))),
        ("EC secp256k1", lambda: written(ec.generate_private_key(ec.SECP256K1()))),
    ],
)
def test_a_private_key_is_described_by_its_algorithm_and_public_half(algorithm: str, make: object) -> None:
    pem = make()  # type: ignore[operator]
    half = public_half(pem)
    assert half.algorithm == algorithm
    command = ["openssl", "pkey", "-pubout", "-outform", "DER"]
    assert subprocess.run(command, input=pem.encode(), capture_output=True, check=True).stdout == half.der
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=half.der, capture_output=True, check=True).stdout
    assert digest.decode().split()[0] == half.fingerprint


def test_the_public_half_of_a_published_key_is_the_published_one() -> None:
    assert b64encode(public_half(block("PRIVATE KEY", ED25519)).der).decode() == ED25519_PUBLIC


def encrypted(form: PrivateFormat) -> str:
    return written(ec.generate_private_key(ec.SECP256R1()), form, BestAvailableEncryption(b"canary"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: encrypted(PrivateFormat.PKCS8), "is encrypted, and a bot could not open it: hand over what"),
        (lambda: encrypted(PrivateFormat.TraditionalOpenSSL), "is encrypted"),
        (lambda: block("PUBLIC KEY", ED25519_PUBLIC), "is a public key, which belongs at the exchange"),
        (lambda: block("RSA PUBLIC KEY", "AAAA"), "is a public key"),
        (lambda: block("CERTIFICATE", "AAAA"), "is a certificate"),
        (lambda: block("CERTIFICATE REQUEST", "AAAA"), "is a certificate or a request for one"),
        (lambda: written(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH), "is in the form of OpenSSH"),
        (lambda: written(x25519.X25519PrivateKey.generate()), "cannot sign requests"),
        (lambda: written(ed448.Ed448PrivateKey.generate()), "cannot sign requests"),
        (lambda: written(rsa_key(1024)), "is an RSA key of 1024 bits: make one of 2048 to 4096"),
        (lambda: block("PRIVATE KEY", ED25519[:40]), "paste all of it, from -----BEGIN to -----END"),
        (lambda: block("PRIVATE KEY", ED25519.replace("MC4", "MC5")), "paste all of it"),
        (lambda: block("PRIVATE KEY", ""), "paste all of it"),
        (lambda: f"-----BEGIN PRIVATE KEY-----\n{ED25519}\n", "paste all of it"),
        (lambda: block("PRIVATE KEY", ED25519.replace("K2Vw", "K2Vv")), "paste all of it"),  # OpenSSL's own InternalError
        (lambda: 2 * block("PRIVATE KEY", ED25519), "has more than one block"),
        (lambda: block("X", "\u00e4"), "paste all of it"),
    ],
)
def test_what_no_bot_could_sign_with_is_refused_and_quoted_nowhere(make: object, says: str) -> None:
    pem = make()  # type: ignore[operator]
    with pytest.raises(UnusableKeyError) as refused:
        public_half(pem)
    assert says in str(refused.value)
    assert refused.value.__cause__ is None
    body = pem.splitlines()[1]
    assert not body or body not in str(refused.value)


def test_an_rsa_key_whose_parts_do_not_fit_is_refused() -> None:
    good = written(rsa_key(), PrivateFormat.TraditionalOpenSSL)
    lines = good.splitlines()
    middle = len(lines) - 6
    lines[middle] = lines[middle][::-1]
    assert public_half(good).algorithm == "RSA"
    with pytest.raises(UnusableKeyError):
        public_half("\n".join(lines) + "\n")


def test_a_public_key_alone_is_told_from_a_private_one_by_the_same_bytes() -> None:
    key = rsa_key()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public_half(written(key)).der == der


def der(tag: int, content: bytes) -> bytes:
    """X.690, section 10.1: the length in as few bytes as it takes."""
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag]) + (size if len(content) < 128 else bytes([0x80 | len(size)]) + size) + content


def test_a_factor_longer_than_its_rsa_key_is_not_tried_for_a_prime() -> None:
    """It takes OpenSSL minutes, in the one thread that answers everybody."""
    numbers = rsa_key().private_numbers()
    small = math.prod(range(3, 20_000, 2))  # OpenSSL divides by these first
    long = next(each for each in range(1 << 40_000 | 1, 1 << 40_001, 2) if math.gcd(each, small) == 1)
    parts = (0, numbers.public_numbers.n, 65537, numbers.d, long, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    body = b"".join(der(0x02, each.to_bytes(each.bit_length() // 8 + 1, "big")) for each in parts)
    text = b64encode(der(0x30, body)).decode()
    begun = time.thread_time()
    with pytest.raises(UnusableKeyError, match="is not a private key that can be read"):
        public_half(block("RSA PRIVATE KEY", "\n".join(text[at : at + 64] for at in range(0, len(text), 64))))
    assert time.thread_time() - begun < 1
