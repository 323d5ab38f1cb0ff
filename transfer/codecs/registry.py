"""The codecs there are."""

from __future__ import annotations

from typing import Final

from transfer.codecs.base import Codec
from transfer.codecs.hcompress import Hcompress
from transfer.codecs.jpeg2000 import Jpeg2000
from transfer.codecs.nfz import Nfz
from transfer.codecs.raw import Raw
from transfer.codecs.rice import Rice
from transfer.errors import Unsupported

CODECS: Final[tuple[Codec, ...]] = (Nfz(), Rice(), Raw())  # lossless, with their defaults
LOSSLESS: Final = ("nfz", "rice", "raw")
LOSSY: Final = ("hcompress", "jpeg2000")  # quick look: an approximation that its lossless twin follows
NAMES: Final[tuple[str, ...]] = (*LOSSLESS, *LOSSY)
PARAMETERS: Final = {"hcompress": "scale", "jpeg2000": "ratio"}


def codec_named(name: str, **parameters: float) -> Codec:
    """The codec of that name; decoding needs no parameters.

    Parameters
    ----------
    parameters
        `scale` of hcompress in units of the sky sigma (default 4), `ratio` of jpeg2000 (default 10); others have none.

    Raises
    ------
    Unsupported
        There is no such codec, it has no such parameter or not with that value, or its library is not installed.
    """
    if name not in NAMES:
        raise Unsupported(f"there is no codec {name!r}; known are {', '.join(NAMES)}")
    known = PARAMETERS.get(name)
    for key in parameters:
        if key != known:
            has = f"its only parameter is {known!r}" if known else "it has none"
            raise Unsupported(f"codec {name!r} has no parameter {key!r}: {has}")
    if name == "hcompress":
        return Hcompress(**parameters)
    if name == "jpeg2000":
        return Jpeg2000(**parameters)
    return next(codec for codec in CODECS if codec.name == name)
