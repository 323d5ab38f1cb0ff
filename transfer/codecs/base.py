"""What a codec is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

Parameter = str | int | float | bool


class Sink(Protocol):
    """Somewhere to write bytes in order."""

    def write(self, data: bytes | memoryview, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What comes back: `restores` is bytes, pixels or approximation.

    `noise_added` (approximation only) is the noise that was added, as a fraction of the sky's sigma.
    """

    lossless: bool
    restores: str
    noise_added: float | None = None


BYTES = Fidelity(lossless=True, restores="bytes")
PIXELS = Fidelity(lossless=True, restores="pixels")


@dataclass(frozen=True, slots=True)
class Encoded:
    """The original as the codec read it: size in bytes, SHA-256, DATASUM per HDU (empty when not FITS)."""

    size: int
    sha256: str
    datasums: tuple[int, ...]
    fidelity: Fidelity


class Codec(Protocol):
    """Turns a frame into fewer bytes and back.

    The same file and parameters give the same packed bytes. Codecs hold no state between calls and may be used from
    several threads. `encode` reads the source once from start to end (or checks its own result against what it read),
    so that `Encoded` describes exactly what was packed even if the source changes meanwhile. Nothing is published by a
    codec; its caller throws the output away when an error comes out.
    """

    @property
    def name(self) -> str:
        """Name in manifests."""
        ...

    @property
    def suffix(self) -> str:
        """Suffix of a member, with its dot; empty for none."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What the manifest says about how it was packed; not needed to decode."""
        ...

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:
        """Write the packed form of a file; temporary files go to the directory `scratch` and are gone afterwards.

        Raises
        ------
        Unsupported
            The codec cannot carry this file without losing something.
        Incomplete
            The file changed while it was read.
        OSError
            The source cannot be read or the sink not written.
        """
        ...

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:
        """Write the restored form of a packed file that nobody has to trust.

        `packed` is read to its end. `size` is that of the original: a decoder that restores bytes writes exactly that
        many or fails, any other at most twice as many and 1 MiB.

        Raises
        ------
        Corrupt
            The input is not what this codec writes, or would restore to another size.
        """
        ...
