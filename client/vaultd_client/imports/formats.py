"""The formats that are read, and how one is told from another: by what stands in the file, never by its name alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vaultd_client.errors import InvalidError
from vaultd_client.imports import (
    coinbase,
    csvfile,
    documents,
    envfile,
    freqtrade,
    gunbot,
    hummingbot,
    jsons,
    octobot,
    passivbot,
)
from vaultd_client.imports.found import Reading, comments_of_lines, joined, with_comments
from vaultd_client.imports.hummingbot import Password
from vaultd_client.imports.source import Source


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A format in JSON: whether a document is of it, and what it holds."""

    fits: Callable[[Any], bool]
    read: Callable[[Any], Reading]


JSON: dict[str, JsonFormat] = {
    "freqtrade": JsonFormat(freqtrade.fits, freqtrade.read),
    "octobot": JsonFormat(octobot.fits, octobot.read),
    "passivbot": JsonFormat(passivbot.fits, passivbot.read),
    "gunbot": JsonFormat(gunbot.fits, gunbot.read),
    "coinbase": JsonFormat(coinbase.fits, coinbase.read),
    "3commas": JsonFormat(documents.fits_3commas, documents.read),
    "dfns": JsonFormat(documents.fits_dfns, documents.read),
    "cadenza": JsonFormat(documents.fits_cadenza, documents.read),
}
TEXT = ("hummingbot", "env", "csv")
NAMES = (*JSON, *TEXT)
_JSON_BEGINS = ("{", "[", "//", "/*", "module.exports", "exports", "const ", "let ", "var ")


def read(sources: Sequence[Source], wanted: str | None, password: Password) -> tuple[str, Reading]:
    """Returns the format and what the sources hold.

    Args:
        sources: One file, or the connector files of a directory.
        wanted: Name of a format; None to find out.
        password: Asks for Hummingbot's password.

    Raises:
        InvalidError: The format cannot be told, is none that is read, or the file is broken.
        UnlockError: The password is wrong.
    """
    name = wanted or (_detected(sources[0]) if len(sources) == 1 else "hummingbot")
    if name == "hummingbot":
        reading = joined([hummingbot.read(sources, password)])
        return name, with_comments(reading, (each for source in sources for each in comments_of_lines(source.text)))
    if len(sources) > 1:
        raise InvalidError(f"a directory is read as Hummingbot's only, not as {name}", hint="name one file")
    source = sources[0]
    if name == "env":
        return name, with_comments(joined([envfile.read(source.name, source.text)]), comments_of_lines(source.text))
    if name == "csv":
        return name, joined([csvfile.read(source.name, source.text)])
    reading = joined([JSON[name].read(jsons.loads(source.name, source.text))])
    return name, with_comments(reading, jsons.comments(source.text))


def _detected(source: Source) -> str:
    text = source.text.lstrip()
    if text.startswith(_JSON_BEGINS):
        document = jsons.loads(source.name, source.text)
        fitting = [name for name, each in JSON.items() if each.fits(document)]
    else:
        checks = {"hummingbot": hummingbot.fits, "env": envfile.fits, "csv": csvfile.fits}
        fitting = [name for name, fits in checks.items() if fits(text)]
    if not fitting:
        raise InvalidError(
            f"{source.name} is of no format that is known", hint=f"say which it is: --from {'|'.join(NAMES)}"
        )
    if len(fitting) > 1:
        which = " or ".join(fitting)
        raise InvalidError(f"{source.name} may be {which}", hint=f"say which it is: --from {fitting[0]}")
    return fitting[0]
