"""The codecs there are."""

from __future__ import annotations

from typing import Final

from transfer.codecs.base import Codec
from transfer.codecs.nfz import Nfz
from transfer.codecs.raw import Raw
from transfer.codecs.rice import Rice
from transfer.errors import Unsupported

CODECS: Final[tuple[Codec, ...]] = (Nfz(), Rice(), Raw())
NAMES: Final[tuple[str, ...]] = tuple(codec.name for codec in CODECS)


def codec_named(name: str) -> Codec:
    """The codec of that name with its defaults; Unsupported when there is none."""
    for codec in CODECS:
        if codec.name == name:
            return codec
    raise Unsupported(f"there is no codec {name!r}; known are {', '.join(NAMES)}")
