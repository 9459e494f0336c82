"""The API as protoc reads it, with the comments that the generated code leaves out."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2 as pb

from vaultd_api.v1 import options_pb2

PROTO = Path(__file__).parents[2] / "proto"
ROOT = "vaultd/v1"
STATES = re.compile(r"States: ([A-Z, ]+)\.")
CALLERS = re.compile(r"Callers: ([^.]*)\.")
REASONS = re.compile(r"Reasons: ([A-Za-z_,\s]+)\.")
IDEMPOTENT = re.compile(r"Idempotent: (yes|no)\.")


@dataclass(frozen=True)
class Element:
    """One thing that proto/ defines: `path` is its full name, `comment` what stands above it."""

    what: str
    path: str
    comment: str
    descriptor: Any
    file: pb.FileDescriptorProto

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Rpc:
    """One RPC. `request` and `response` are the messages inside the envelope where it is signed."""

    path: str
    name: str
    comment: str
    signed: bool
    request: str
    response: str


def compiled(root: Path) -> pb.FileDescriptorSet:
    """Compiles the protos below `root`, source info included; ValueError with protoc's words where they are wrong."""
    sources = sorted(str(path.relative_to(root)) for path in root.glob("**/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "set")
        include = [f"-I{root}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
        options = ["--include_source_info", f"--descriptor_set_out={made}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", *include, *options, *sources]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stderr:
            raise ValueError(done.stderr)
        return pb.FileDescriptorSet.FromString(made.read_bytes())


@cache
def files() -> tuple[pb.FileDescriptorProto, ...]:
    """The files of proto/."""
    return tuple(compiled(PROTO).file)


def elements(given: tuple[pb.FileDescriptorProto, ...]) -> Iterator[Element]:
    """Walks everything that files define. The numbers are those of descriptor.proto's fields."""
    for file in given:
        comments = {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}
        # The comment of a file stands above `syntax`.
        yield Element("file", file.name, comments.get((12,), ""), file, file)
        for number, message in enumerate(file.message_type):
            yield from _message(file, comments, (4, number), file.package, message)
        for number, enum in enumerate(file.enum_type):
            yield from _enum(file, comments, (5, number), file.package, enum)
        for number, extension in enumerate(file.extension):
            path = f"{file.package}.{extension.name}"
            yield Element("extension", path, comments.get((7, number), ""), extension, file)
        for number, service in enumerate(file.service):
            path = f"{file.package}.{service.name}"
            yield Element("service", path, comments.get((6, number), ""), service, file)
            for at, method in enumerate(service.method):
                yield Element("rpc", f"{path}.{method.name}", comments.get((6, number, 2, at), ""), method, file)


def _message(
    file: pb.FileDescriptorProto, comments: dict[tuple[int, ...], str], at: tuple[int, ...], scope: str, message: Any
) -> Iterator[Element]:
    path = f"{scope}.{message.name}"
    if message.options.map_entry:
        return
    yield Element("message", path, comments.get(at, ""), message, file)
    for number, field in enumerate(message.field):
        yield Element("field", f"{path}.{field.name}", comments.get((*at, 2, number), ""), field, file)
    for number, inner in enumerate(message.nested_type):
        yield from _message(file, comments, (*at, 3, number), path, inner)
    for number, enum in enumerate(message.enum_type):
        yield from _enum(file, comments, (*at, 4, number), path, enum)


def _enum(
    file: pb.FileDescriptorProto, comments: dict[tuple[int, ...], str], at: tuple[int, ...], scope: str, enum: Any
) -> Iterator[Element]:
    path = f"{scope}.{enum.name}"
    yield Element("enum", path, comments.get(at, ""), enum, file)
    for number, value in enumerate(enum.value):
        yield Element("enum value", f"{path}.{value.name}", comments.get((*at, 2, number), ""), value, file)


@cache
def rpcs() -> tuple[Rpc, ...]:
    """Every RPC of proto/."""
    found = []
    for each in elements(files()):
        if each.what != "rpc":
            continue
        service, _, name = each.path.rpartition(".")
        options = each.descriptor.options
        signed = options.HasExtension(options_pb2.signed_method)
        inside = options.Extensions[options_pb2.signed_method]
        request, response = (
            (inside.request, inside.response)
            if signed
            else tuple(kind.rpartition(".")[2] for kind in (each.descriptor.input_type, each.descriptor.output_type))
        )
        found.append(Rpc(f"/{service}/{name}", name, each.comment, signed, request, response))
    return tuple(found)


def said(rpc: Rpc, pattern: re.Pattern[str]) -> list[str]:
    """What the comment of an RPC says after `Callers:`, `States:` ...: the parts between the commas."""
    found = pattern.findall(rpc.comment)
    assert len(found) == 1, f"{rpc.path}: {pattern.pattern}"
    return [part.strip() for part in found[0].split(",")]


ALL = list(elements(files()))
"""Everything that proto/ defines."""
