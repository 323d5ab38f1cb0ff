"""Arrays in JSON: type, shape and bytes, so that a restart continues exactly."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from services.core.errors import ServiceError

_TYPES: Final = ("|b1", "|i1", "<i8", "<u8", "<f8", "<f4")
_MOST_BYTES: Final = 1 << 30


class BadState(ServiceError):
    """The kept state of the limit engine is damaged or of another version: start without it."""

    exit_code: ClassVar[int] = 4


def encode(array: npt.NDArray[Any], packed: bool = True) -> dict[str, Any]:
    """One array as a JSON object; not `packed` is for noise, which compresses badly and slowly."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    raw = zlib.compress(little.tobytes(), 1) if packed else little.tobytes()
    data = base64.b64encode(raw).decode("ascii")
    return {"type": little.dtype.str, "shape": list(array.shape), "packed": packed, "data": data}


def decode(document: Mapping[str, Any], kind: Any, ndim: int) -> npt.NDArray[Any]:
    """The array again, of the type `kind` and with `ndim` axes.

    Raises
    ------
    BadState
        It is not what `encode` writes.
    """
    try:
        shape = tuple(int(length) for length in document["shape"])
        if document["type"] not in _TYPES or np.dtype(document["type"]) != np.dtype(kind) or len(shape) != ndim:
            raise BadState(f"the kept state holds a {document['type']} array of {len(shape)} axes, expected {kind}")
        data = base64.b64decode(document["data"], validate=True)
        if document["packed"]:
            data = zlib.decompressobj().decompress(data, _MOST_BYTES)
        return np.frombuffer(data, dtype=document["type"]).reshape(shape).astype(kind)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise BadState(f"the kept state of the limits cannot be read: {error}") from None
