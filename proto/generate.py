"""Generates client/vaultd_api from proto/. Run it after every change; a test fails when the two differ.

usage: python proto/generate.py [OUTPUT_DIR]

protoc names Python modules after the proto path, `vaultd.v1`, which is also the daemon's package. The only edit made
to its output is that import: `vaultd.v1` becomes `vaultd_api.v1`.
"""

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
DEFAULT_OUTPUT = PROTO.parent / "client" / "vaultd_api"


def generate(output: Path) -> None:
    """Writes `output`/v1/*_pb2.py and *_pb2.pyi."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("vaultd/v1/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["protoc", f"-I{PROTO}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
        arguments += [f"--python_out={scratch}", f"--pyi_out={scratch}", *sources]
        if protoc.main(arguments) != 0:
            sys.exit("protoc failed")
        target = output / "v1"
        target.mkdir(parents=True, exist_ok=True)
        for made in sorted(Path(scratch, "vaultd", "v1").iterdir()):
            text = re.sub(r"^from vaultd\.v1 import", "from vaultd_api.v1 import", made.read_text(), flags=re.MULTILINE)
            (target / made.name).write_text(text)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT)
