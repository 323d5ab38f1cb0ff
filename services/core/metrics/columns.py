"""Arrays in, lines of line protocol out, without a Python loop over the points.

The text of a block is one `%` of a template that repeats for every point, so that values are written by C code: floats
by `repr`, the shortest text that reads back as the same float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain, repeat
from operator import methodcaller
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.core.metrics.blocks import BLOCK_POINTS
from services.core.metrics.line import escaped_key, escaped_measurement, escaped_text
from services.core.metrics.times import BadPoints

_TEMPLATES: Final = {"f": "%r %d\n", "i": "%di %d\n", "b": "%s %d\n", "U": '"%s" %d\n'}
_INT64: Final = np.iinfo(np.int64)


def values_of(values: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values as an array of float64, int64, bool or text, shape (n,), and which of them are there.

    NaN, infinities, None and masked values are not there: line protocol cannot say them.

    Raises
    ------
    BadPoints
        More than one axis, whole numbers beyond 64 bits, or things that are neither numbers nor text.
    """
    there = ~np.atleast_1d(np.ma.getmaskarray(values)) if isinstance(values, np.ma.MaskedArray) else np.True_
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise BadPoints(f"values: {error}") from None
    if array.ndim != 1:
        raise BadPoints(f"values: expected one axis, got shape {array.shape}")
    if array.dtype.kind == "O":
        array, known = _of_objects(array)
        there = there & known
    kind = array.dtype.kind
    if kind == "u" and array.size and int(array.max()) > _INT64.max:
        raise BadPoints(f"values: {array.max()} is beyond 64 bits with a sign")
    if kind == "f":
        array = array.astype(np.float64)
        there = there & np.isfinite(array)
    elif kind in "iu":
        array = array.astype(np.int64)
    elif kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    elif kind not in "bU":
        raise BadPoints(f"values: expected numbers, booleans or text, got {array.dtype}")
    return array, np.broadcast_to(there, array.shape)


def _of_objects(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Python objects, None among them, and which are there.

    As text, booleans, whole numbers or float64, whatever those that are there are: a None more or less does not change
    a field's type, which the server would refuse.
    """
    known = np.array([item is not None for item in array.tolist()], dtype=bool)
    items = array[known].tolist()
    kinds = (str, bool | np.bool_, int | np.integer, object)
    kind = next(number for number, each in enumerate(kinds) if all(isinstance(item, each) for item in items))
    try:
        found = np.array(items, dtype=(np.str_, np.bool_, None, np.float64)[kind])
    except (TypeError, ValueError, OverflowError) as error:
        raise BadPoints(f"values: neither all numbers nor all text: {error}") from None
    if found.dtype.kind not in "biufU" or found.ndim != 1:
        raise BadPoints("values: whole numbers beyond 64 bits with a sign, or more than one axis")
    filled = np.zeros(array.shape, dtype=found.dtype)
    filled[known] = found
    return filled, known


def heads_of(
    measurement: str,
    tags: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    count: int,
    more: Mapping[str, str] | None = None,
) -> str | list[str]:
    """What stands before the fields: one text for all points, or one for each.

    Parameters
    ----------
    tags
        One mapping for all, in which a value may also be a list or array of one per point; or a list of one mapping
        per point. Values that are empty or None are left out.
    more
        Tags of all points, where `tags` has no others of their names.

    Raises
    ------
    BadPoints
        Another number of tags than of values, or a name that line protocol cannot say.
    """
    base = more or {}
    if isinstance(tags, Mapping):
        columns = dict(tags)
    elif not isinstance(tags, Sequence) or not all(isinstance(each, Mapping) for each in tags):
        raise BadPoints("tags: expected one mapping, or a list of mappings")
    elif len(tags) != count:
        raise BadPoints(f"tags: expected one mapping, or {count} as there are values, got {len(tags)}")
    else:
        keys = set().union(*tags)
        columns = {key: list(map(methodcaller("get", key, base.get(key)), tags)) for key in keys}
    columns = {**base, **columns}
    names_are_good("tag", columns)
    fixed = escaped_measurement(measurement)
    pieces: list[list[str]] = []
    for key in sorted(columns):
        column = columns[key]
        if isinstance(column, np.ndarray) and column.ndim == 0:
            column = column.item()
        if isinstance(column, Iterator):
            raise BadPoints(f"tags: {key}: expected text, or a list of it, got {type(column).__name__}")
        if not isinstance(column, str) and hasattr(column, "__len__"):
            pieces.append(_column(key, column, count))
        elif pieces:
            pieces.append([_written(key, column)] * count)
        else:
            fixed += _written(key, column)
    return list(map("".join, zip(repeat(fixed, count), *pieces, strict=True))) if pieces else fixed


def _column(key: str, column: Any, count: int) -> list[str]:
    """A tag's part of every point; each value is escaped once."""
    if isinstance(column, Mapping | Set | bytes):
        raise BadPoints(f"tags: {key}: expected text, or a list of it, got {type(column).__name__}")
    if len(column) != count:
        raise BadPoints(f"tags: {key}: expected {count} as there are values, got {len(column)}")
    items = column.tolist() if isinstance(column, np.ndarray) else column
    try:
        known = {item: _written(key, item) for item in set(items)}
    except TypeError:
        raise BadPoints(f"tags: {key}: expected text") from None
    return list(map(known.__getitem__, items))


def _written(key: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return f",{escaped_key(key)}={escaped_key(text)}" if text else ""


def names_are_good(what: str, names: Any) -> None:
    """Names of tags or fields, or of a measurement.

    Raises
    ------
    BadPoints
        One is no text, empty, or `time`, which the server takes for the point's own.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip() or name == "time":
            raise BadPoints(f"{what}: {name!r} is no name that a {what} can have")


def texts(
    heads: str | list[str], field: str, values: NDArray[Any], times: NDArray[np.int64]
) -> Iterator[tuple[int, bytes]]:
    """Text of the points, in blocks: number of points and UTF-8 of each.

    Parameters
    ----------
    heads : str or list
        As `heads_of` gives them.
    values, times : arrays, shape (n,)
        As `values_of` and `times_of` give them, only what is there.
    """
    kind = values.dtype.kind
    key = f" {escaped_key(field)}="
    for begin in range(0, len(values), BLOCK_POINTS):
        end = min(begin + BLOCK_POINTS, len(values))
        written = _plain(values[begin:end])
        stamps = times[begin:end].tolist()
        if isinstance(heads, str):
            template = (heads + key).replace("%", "%%") + _TEMPLATES[kind]
            told = chain.from_iterable(zip(written, stamps, strict=True))
        else:
            template = "%s" + key.replace("%", "%%") + _TEMPLATES[kind]
            told = chain.from_iterable(zip(heads[begin:end], written, stamps, strict=True))
        text = (template * (end - begin)) % tuple(told)
        yield end - begin, text.encode("utf-8", "replace")


def _plain(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "b":
        values = np.where(values, "true", "false")
    found: list[Any] = values.tolist()
    if values.dtype.kind == "U":
        known = {text: escaped_text(text) for text in set(found)}
        return list(map(known.__getitem__, found))
    return found
