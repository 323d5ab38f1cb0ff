"""The codec that stores a file as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from transfer.checksum import CHUNK, Meter
from transfer.codecs.base import BYTES, Encoded, Parameter, Sink
from transfer.codecs.sources import layout_of
from transfer.errors import Corrupt, Incomplete


@dataclass(frozen=True, slots=True)
class Raw:
    """Stores the bytes unchanged."""

    name: ClassVar[str] = "raw"
    suffix: ClassVar[str] = ""
    parameters: ClassVar[Mapping[str, Parameter]] = {}

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:  # noqa: ARG002 - needs no scratch space
        """See `Codec.encode`."""
        layout = layout_of(source)
        meter = Meter(layout)
        with source.open("rb") as file:
            while chunk := file.read(CHUNK):
                meter.update(chunk)
                sink.write(chunk)
        if layout and layout.size != meter.size:
            raise Incomplete(f"{source.name} changed while it was read")
        return Encoded(meter.size, meter.sha256, meter.datasums, BYTES)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:  # noqa: ARG002
        """See `Codec.decode`."""
        left = size
        while chunk := packed.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            sink.write(chunk)
        if left:
            raise Corrupt(f"the stored file does not have the {size} bytes that the manifest says")
