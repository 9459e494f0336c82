"""Runs one target under atheris: `python -m tests.fuzz SECONDS TARGET [CORPUS]`.

Coverage-guided (libFuzzer), instrumented from the first import of our packages. Ends with 0, or with libFuzzer's own
code at the first finding, whose input is in the working directory. In the end libFuzzer prints how many runs it made.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    """Fuzzes; does not return."""
    seconds, name, *corpus = sys.argv[1:]
    with atheris.instrument_imports(include=["vaultd", "vaultd_client", "tests.fuzz.targets"]):
        from tests.fuzz.targets import CONTROL, TARGETS

    target = CONTROL if name == "control" else TARGETS[name]
    with contextlib.ExitStack() as closing:
        directory = corpus[0] if corpus else closing.enter_context(tempfile.TemporaryDirectory())
        for number, seed in enumerate(target.seeds):
            (Path(directory) / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1", "-seed=1"]
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={os.getcwd()}/", directory], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
