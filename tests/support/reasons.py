"""Which reasons the handler of a signed RPC can end with, read from its source and that of all it calls.

Functions are followed by name, `module.function` and `self` or object methods by the method's name. What `except` catches and
does not raise again is left out. Raised classes are those of vaultd.errors; a look-up by kind in the catalogue is followed too.
"""

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import vaultd
from vaultd import errors
from vaultd.errors import VaultError

_ROOT = Path(vaultd.__file__).parent
_FILES = [*_ROOT.glob("keyholder/*.py"), *_ROOT.glob("kinds/*.py"), *_ROOT.glob("crypto/*.py"), _ROOT / "messages.py"]
_ASKED = frozenset({errors.StoreUnavailableError, errors.StoreDamagedError})
"""What the server may answer to an `Ask`."""

Raised = frozenset[type[VaultError]]


@cache
def _functions() -> dict[str, list[tuple[str, ast.FunctionDef]]]:
    found: dict[str, list[tuple[str, ast.FunctionDef]]] = {}
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append((path.stem, node))
    return found


def of_handler(module: str, name: str) -> frozenset[str]:
    """Returns the reasons of a function in `vaultd.keyholder.<module>`."""
    return frozenset(error.reason for error in _of(module, name, frozenset()))


def _of(module: str, name: str, above: frozenset[tuple[str, str]]) -> Raised:
    if (module, name) in above:
        return frozenset()
    bodies = [node.body for where, node in _functions().get(name, []) if where == module]
    return _in(module, [each for body in bodies for each in body], above | {(module, name)})


def _in(module: str, nodes: list[ast.AST] | list[ast.stmt], above: frozenset[tuple[str, str]]) -> Raised:
    raised: set[type[VaultError]] = set()
    for node in nodes:
        if isinstance(node, ast.Try):
            raised |= _tried(module, node, above)
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised |= {kind for each in ast.walk(node.exc) if (kind := _error(each)) is not None}
        if isinstance(node, ast.Call):
            raised |= _called(module, node, above)
        raised |= _in(module, list(ast.iter_child_nodes(node)), above)
    return frozenset(raised)


def _tried(module: str, node: ast.Try, above: frozenset[tuple[str, str]]) -> Raised:
    kept = set(_in(module, node.body, above))
    for handler in node.handlers:
        caught = tuple(_classes(handler.type)) if handler.type is not None else (BaseException,)
        if not any(isinstance(each, ast.Raise) for each in ast.walk(handler)):
            kept = {kind for kind in kept if not issubclass(kind, caught)}
        kept |= _in(module, handler.body, above)
    return frozenset(kept | _in(module, [*node.orelse, *node.finalbody], above))


def _called(module: str, call: ast.Call, above: frozenset[tuple[str, str]]) -> Raised:
    function = call.func
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    if name in ("Ask", "ask"):
        commits = any(isinstance(each, ast.Constant) and each.value == "commit" for each in call.args)
        return _ASKED | {errors.StoreFullError} if commits else _ASKED
    if isinstance(function, ast.Name):
        return _of(module, name, above)
    if not isinstance(function, ast.Attribute):
        return frozenset()
    owner = function.value
    if isinstance(owner, ast.Name) and any(path.stem == owner.id for path in _FILES):
        return _of(owner.id, function.attr, above)
    if isinstance(owner, ast.Attribute) and owner.attr == "catalogue":
        return _of("catalogue", function.attr, above)
    if function.attr == "allocate":
        return frozenset({errors.OutOfMemoryError})
    return _of("vault", function.attr, above)


def _error(node: ast.AST) -> type[VaultError] | None:
    found = getattr(errors, node.id, None) if isinstance(node, ast.Name) else None
    return found if isinstance(found, type) and issubclass(found, VaultError) else None


def _classes(node: ast.AST) -> Iterator[type[BaseException]]:
    for each in ast.walk(node):
        kind = _error(each) or (getattr(builtins, each.id, None) if isinstance(each, ast.Name) else None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            yield kind
