"""Quick look by JPEG 2000 at a chosen ratio, as the Deeper, Wider, Faster programme shipped its frames."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final

import numpy as np

from transfer.cards import card_int, card_text
from transfer.codecs import quicklook_pack, quicklook_restore
from transfer.codecs.base import Encoded, Parameter, Sink
from transfer.codecs.jpeg2000_stream import check_codestream
from transfer.codecs.quicklook import Table
from transfer.codecs.quicklook_headers import card, own_cards
from transfer.errors import Corrupt, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIP: Final = 1 << 19  # pixels in a codestream: the library keeps Python's lock, for less than 0.1 s a time
MIN_ROWS: Final = 32
MAX_WIDTH: Final = 1 << 16
MAX_RATIO: Final = 1000.0
KIND: Final = "JPEG2000"
_FULL: Final = 65535


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """Lossy: JPEG 2000 with the 9/7 wavelet, every detector cut down to 1 / `ratio` of its bytes.

    Needs Pillow with OpenJPEG (the extra `quicklook`). Images become unsigned 16-bit integers; those of 32 bits must
    span no more than 65,536 values.
    """

    ratio: float = 10.0

    name: ClassVar[str] = "jpeg2000"
    suffix: ClassVar[str] = ".j2k.fits"

    def __post_init__(self) -> None:
        if not 1 < self.ratio <= MAX_RATIO:
            raise Unsupported(f"jpeg2000: expected a ratio above 1 and at most {MAX_RATIO:g}, got {self.ratio:g}")
        if importlib.util.find_spec("PIL") is None:
            raise Unsupported("jpeg2000 needs Pillow, which is not installed: pip install 'nightferry[quicklook]'")

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """See `Codec.parameters`."""
        return {"ratio": float(self.ratio)}

    @property
    def mark(self) -> tuple[str, float, str]:
        """See `Carrier.mark`."""
        return "NFRATIO", self.ratio, "JPEG 2000 compression ratio asked for"

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:
        """See `Codec.encode`; floating-point and 64-bit images are Unsupported."""
        return quicklook_pack.encode(self, source, sink, scratch)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:
        """See `Codec.decode`."""
        quicklook_restore.decode(self, packed, sink, size, scratch)

    def shrink(self, pixels: np.ndarray, work: Path) -> Table:  # noqa: ARG002 - needs no scratch space
        """See `Carrier.shrink`."""
        rows = pixels.reshape(-1, pixels.shape[-1])
        width = rows.shape[1]
        low = {1: 0, 2: -32768}[pixels.itemsize] if pixels.itemsize < 4 else int(pixels.min())
        if width > MAX_WIDTH or int(pixels.max()) - low > _FULL:
            raise Unsupported("jpeg2000 carries no image wider than 65536 pixels or spanning more than 65536 values")
        height = max(MIN_ROWS, STRIP // width)
        rate = max(1.0, self.ratio * 2 / pixels.itemsize)  # of 16-bit pixels, which is what the library sees
        streams = [
            _compress((rows[top : top + height].astype(np.int64) - low).astype(np.uint16), rate)
            for top in range(0, rows.shape[0], height)
        ]
        return _table(streams, height, low)

    def owns(self, header: list[bytes]) -> bool:
        """See `Carrier.owns`."""
        return card_text(own_cards(header), b"NFCTYPE") == KIND

    def expand(self, table: Table, bitpix: int, shape: tuple[int, ...], work: Path) -> np.ndarray:  # noqa: ARG002
        """See `Carrier.expand`."""
        own = own_cards(table.cards)
        width, total = shape[-1], math.prod(shape[:-1])
        height, low = card_int(own, b"NFROWS") or 0, card_int(own, b"NFOFFSET")
        if width > MAX_WIDTH or not 1 <= height <= max(MIN_ROWS, STRIP // width) or low is None or abs(low) > 1 << 31:
            raise Corrupt("a JPEG 2000 image is cut into strips that the format does not allow")
        dtype = np.dtype("u1" if bitpix == 8 else f"i{bitpix // 8}")
        limits = np.iinfo(dtype)
        pixels = np.empty((total, width), dtype)
        for number, stream in enumerate(_streams(own, table.data, -(-total // height))):
            part = pixels[number * height : (number + 1) * height]
            check_codestream(stream, *part.shape)
            part[:] = np.clip(_decompress(stream, part.shape).astype(np.int64) + low, limits.min, limits.max)
        return pixels.reshape(shape)


def _table(streams: Sequence[bytes], height: int, low: int) -> Table:
    """One row per strip, whose codestream lies in the heap."""
    lengths = np.array([len(each) for each in streams], ">i8")
    places = np.stack([lengths, np.cumsum(lengths) - lengths], axis=1).astype(">i8")
    heap = b"".join(streams)
    cards = [
        card("XTENSION", "BINTABLE", "an image as JPEG 2000 codestreams"),
        card("BITPIX", 8, "bytes"),
        card("NAXIS", 2, "rows of the table"),
        card("NAXIS1", 16, "bytes in a row"),
        card("NAXIS2", len(streams), "strips of the image"),
        card("PCOUNT", len(heap), "bytes of codestreams"),
        card("GCOUNT", 1, "one group"),
        card("TFIELDS", 1, "one column"),
        card("TTYPE1", "CODESTREAM", "opens as a .j2k file"),
        card("TFORM1", f"1QB({lengths.max()})", "bytes of the codestream"),
        card("NFCTYPE", KIND, "lossy form of the image described below"),
        card("NFROWS", height, "image rows in a strip"),
        card("NFOFFSET", low, "to be added to the decoded values"),
    ]
    return Table(cards, places.tobytes() + heap)


def _streams(own: list[bytes], data: bytes, count: int) -> list[bytes]:
    if (card_int(own, b"NAXIS1"), card_int(own, b"NAXIS2")) != (16, count) or 16 * count > len(data):
        raise Corrupt("a JPEG 2000 image does not have as many strips as it needs")
    heap = memoryview(data)[16 * count :]
    pairs = np.frombuffer(data, ">u8", 2 * count).reshape(count, 2).tolist()
    if any(length > len(heap) or offset > len(heap) - length for length, offset in pairs):
        raise Corrupt("a strip of a JPEG 2000 image lies outside of it")
    return [bytes(heap[offset : offset + length]) for length, offset in pairs]


def _compress(pixels: np.ndarray, rate: float) -> bytes:
    from PIL import Image, features

    if not features.check("jpg_2000"):
        raise Unsupported("this Pillow was built without JPEG 2000: pip install 'nightferry[quicklook]' brings one")
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(out, "JPEG2000", no_jp2=True, quality_mode="rates", quality_layers=[rate], irreversible=True)
    return out.getvalue()


def _decompress(stream: bytes, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(stream), formats=["JPEG2000"]) as image:
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise Corrupt(f"a JPEG 2000 codestream is damaged: {' '.join(str(error).split())}") from error
    if pixels.shape != shape or pixels.dtype != np.uint16:
        raise Corrupt("a JPEG 2000 codestream restores to something else than it says")
    return pixels
