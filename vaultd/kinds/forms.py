"""Whether the values of a key pair have the forms that the kind's exchange hands out.

A value of another form is most often half copied, or that of another venue: a person should hear it. It is refused only
where it could not be used, because the library that bots sign with decodes it first.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vaultd.kinds.kind import Encoding, KeyFormat, Kind, Shape


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problems`: field name to why its value is of no use. `notices`: what a person should hear. No value is in them."""

    problems: Mapping[str, str]
    notices: tuple[str, ...]


def judge(kind: Kind, values: Mapping[str, str], algorithms: Mapping[str, str]) -> Verdict:
    """Compares values with the forms of their fields.

    Args:
        kind: Whose forms.
        values: Field name to cleaned value.
        algorithms: Name of each field whose value is a private key in PEM, to what it signs with, such as `Ed25519`.
    """
    problems: dict[str, str] = {}
    notices: list[str] = []
    for form in kind.key_formats:
        if form.field not in values:
            continue
        algorithm = algorithms.get(form.field, "")
        if any(_fits(shape, values[form.field], algorithm) for shape in form.any_of):
            continue
        wanted = f"{kind.display_name} has {described(form)}"
        if algorithm and any(shape.algorithm for shape in form.any_of):
            problems[form.field] = f"is a private key for {algorithm}, which nothing could use here: {wanted}"
        elif form.refuse and not any(_decodes(shape, values[form.field], algorithm) for shape in form.any_of):
            problems[form.field] = f"cannot be decoded, so nothing could sign with it: {wanted}. Copy it again, whole"
        else:
            notices.append(f"{form.field} does not look right: {wanted}. Was it copied whole, and for this kind?")
    return Verdict(problems, tuple(notices))


def described(form: KeyFormat) -> str:
    """Returns the forms of a field in words."""
    return ", or ".join(shape.text for shape in form.any_of)


def _fits(shape: Shape, value: str, algorithm: str) -> bool:
    if shape.algorithm is not None or algorithm:
        return shape.algorithm == algorithm
    if shape.pattern and not re.fullmatch(shape.pattern, value):
        return False
    return _decodes(shape, value, algorithm)


def _decodes(shape: Shape, value: str, algorithm: str) -> bool:
    match shape.encoding:
        case Encoding.TEXT:
            return True
        case Encoding.PEM:
            return shape.algorithm == algorithm
        case Encoding.BASE64:
            try:
                return len(base64.b64decode(value, validate=True)) > 0
            except (binascii.Error, ValueError):  # ValueError: not ASCII
                return False
        case Encoding.BASE58:
            return re.fullmatch(r"(ed25519:)?[1-9A-HJ-NP-Za-km-z]+", value) is not None
        case Encoding.HEX:
            return re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", value) is not None
