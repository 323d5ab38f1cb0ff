"""Quick look by HCOMPRESS: cfitsio's tile compression with a scale; what comes out is a valid `.fits.fz`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

import numpy as np

from transfer.cards import card_text
from transfer.codecs import quicklook_pack, quicklook_restore, rice_headers
from transfer.codecs.base import Encoded, Parameter, Sink
from transfer.codecs.hcompress_table import rebuilt
from transfer.codecs.quicklook import MIN_SIDE, Table
from transfer.codecs.quicklook_headers import own_cards
from transfer.codecs.quicklook_noise import sky_sigma
from transfer.errors import Corrupt, Unsupported
from transfer.structure import scan

TILE_ROWS: Final = 64
TILE_COLUMNS: Final = 8192  # the transform sums up to this many pixels in 32-bit integers
MAX_SCALE: Final = 100.0
# The rest of what cfitsio writes is about the image, whose own cards follow.
_OWN: Final = re.compile(
    rb"(XTENSION|BITPIX|NAXIS[12]?|PCOUNT|GCOUNT|TFIELDS|TTYPE1|TFORM1|ZIMAGE|ZCMPTYPE|(ZTILE|ZNAME|ZVAL)[0-9]+) *="
)


@dataclass(frozen=True, slots=True)
class Hcompress:
    """Lossy: H-transform coefficients in steps of `scale` times the sky's sigma (White, Postman & Lattanzi 1992).

    The sigma is measured once per detector (`sky_sigma`) and given to cfitsio as an absolute scale, so that a detector
    has the same step everywhere; `fpack -h -s SCALE` means the same, with a sigma per tile.
    """

    scale: float = 4.0

    name: ClassVar[str] = "hcompress"
    suffix: ClassVar[str] = ".fz"

    def __post_init__(self) -> None:
        if not 0 < self.scale <= MAX_SCALE:
            raise Unsupported(f"hcompress: expected a scale above 0 and at most {MAX_SCALE:g}, got {self.scale:g}")

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """See `Codec.parameters`."""
        return {"scale": float(self.scale)}

    @property
    def mark(self) -> tuple[str, float, str]:
        """See `Carrier.mark`."""
        return "NFSCALE", self.scale, "HCOMPRESS scale in units of the sky sigma"

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:
        """See `Codec.encode`; floating-point and 64-bit images are Unsupported."""
        return quicklook_pack.encode(self, source, sink, scratch)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:
        """See `Codec.decode`."""
        quicklook_restore.decode(self, packed, sink, size, scratch)

    def shrink(self, pixels: np.ndarray, work: Path) -> Table:
        """See `Carrier.shrink`."""
        import fitsio

        tile = [1] * (pixels.ndim - 2) + [_side(pixels.shape[-2], TILE_ROWS), _side(pixels.shape[-1], TILE_COLUMNS)]
        step = max(1, round(self.scale * sky_sigma(pixels)))  # 1 is lossless
        try:
            with fitsio.FITS(str(work), "rw", clobber=True) as fits:  # a negative scale is an absolute one
                fits.write(pixels, compress="HCOMPRESS_1", hcomp_scale=-float(step), tile_dims=tile)
        except (OSError, ValueError) as error:
            raise Unsupported(f"cfitsio cannot compress this image: {' '.join(str(error).split())}") from error
        span = scan(work).hdus[-1]
        with work.open("rb") as file:
            file.seek(span.header_offset)
            header = rice_headers.split(file.read(span.data_offset - span.header_offset))
            return Table([each for each in header if _OWN.match(each)], file.read(span.data_size))

    def owns(self, header: list[bytes]) -> bool:
        """See `Carrier.owns`."""
        return card_text(own_cards(header), b"ZCMPTYPE") == "HCOMPRESS_1"

    def expand(self, table: Table, bitpix: int, shape: tuple[int, ...], work: Path) -> np.ndarray:
        """See `Carrier.expand`."""
        import fitsio

        work.write_bytes(rebuilt(table, bitpix, shape))
        try:
            with fitsio.FITS(str(work)) as fits:
                pixels: np.ndarray | None = fits[1].read()
        except (OSError, ValueError) as error:
            raise Corrupt(f"cfitsio cannot decompress an image: {' '.join(str(error).split())}") from error
        kind = "u1" if bitpix == 8 else f"i{bitpix // 8}"
        if pixels is None or pixels.shape != shape or pixels.dtype != np.dtype(kind):
            raise Corrupt("a compressed image restores to something else than it says")
        return pixels


def _side(length: int, wanted: int) -> int:
    """Side of tiles, at most `wanted`, that leaves no last tile of fewer than `MIN_SIDE` pixels."""
    side = min(length, wanted)
    while 0 < length % side < MIN_SIDE:
        side -= 1
    return side
