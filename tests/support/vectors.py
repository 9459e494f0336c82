"""The published vectors in tests/vectors."""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    """Returns the vectors of a file, as their source has them."""
    tests: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["tests"]
    return tests
