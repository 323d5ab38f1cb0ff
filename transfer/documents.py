"""Strict JSON documents: a field is there, of its type and in its range, or the document is refused by its path."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

from transfer.errors import BadDocument

MAX_DOCUMENT: Final = 64 << 20
MAX_FRAMES: Final = 10_000
MAX_INTEGER: Final = (1 << 63) - 1
MAX_VALUES: Final = 2_000_000  # commas of a document: each may become an object of 30 to 100 bytes
MAX_CONTAINERS: Final = 250_000  # lists and objects: each may become 300 bytes
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
_BUNDLE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_NIGHT: Final = re.compile(r"[0-9]{8}\Z")

T = TypeVar("T")


def load(data: bytes, kind: str, version: int) -> Fields:
    """Fields of a JSON document of a kind, its version at most `version`; BadDocument otherwise."""
    if len(data) > MAX_DOCUMENT:
        raise BadDocument(f"{kind}: {len(data)} bytes, expected at most {MAX_DOCUMENT}")
    if data.count(b",") > MAX_VALUES or data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise BadDocument(f"{kind}: more than {MAX_VALUES} values or {MAX_CONTAINERS} lists and objects")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"{kind}: not JSON: {error}") from error
    fields = Fields(value, kind)
    if (found := fields.text("kind")) != kind:
        fields.refuse("kind", kind, found)
    if (number := fields.integer("version", 1)) > version:
        fields.refuse("version", f"at most {version}", number)
    fields.version = number
    return fields


def dump(document: Mapping[str, Any]) -> bytes:
    """A document as bytes: keys sorted, UTF-8, no NaN, one line's end."""
    try:
        return json.dumps(document, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1).encode() + b"\n"
    except ValueError as error:  # NaN, or text that is not Unicode
        raise BadDocument(f"{document.get('kind')}: cannot be written: {error}") from error


def time_text(value: datetime) -> str:
    """A UTC time as documents write it."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def check_name(name: str) -> str | None:
    """What is wrong with a frame's file name, or None."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "a name in UTF-8"
    if not 1 <= size <= 255:
        return "1 to 255 bytes"
    if name in {".", ".."} or any(each == "/" or ord(each) < 32 or 127 <= ord(each) < 160 for each in name):
        return "a plain file name"
    return None


def is_bundle_id(text: str) -> bool:
    """Whether a text may name a bundle."""
    return bool(_BUNDLE.match(text))


class Fields:
    """The fields of one JSON object, taken one by one; `done` refuses those that nobody asked for."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise BadDocument(f"{path}: expected an object, got {_short(value)}")
        self._left: dict[str, Any] = dict(value)
        self.path = path
        self.version = 0  # of a whole document; `load` sets it

    def refuse(self, key: str, expected: str, found: object) -> NoReturn:
        """Raise BadDocument that names the path and what was expected there."""
        raise BadDocument(f"{self.path}.{key}: expected {expected}, got {_short(found)}")

    def done(self) -> None:
        """Refuse unknown keys."""
        if self._left:
            raise BadDocument(f"{self.path}: unknown key {_short(min(self._left))}")

    def take(self, key: str) -> Any:
        """Any value; BadDocument when the key is missing."""
        if key not in self._left:
            raise BadDocument(f"{self.path}.{key}: missing")
        return self._left.pop(key)

    def text(self, key: str, limit: int = 4096) -> str:
        """A string of at most `limit` characters that UTF-8 can carry."""
        value = self.take(key)
        if not isinstance(value, str) or len(value) > limit or re.search("[\ud800-\udfff]", value):
            self.refuse(key, f"a string of at most {limit} characters", value)
        return value

    def integer(self, key: str, low: int = 0, high: int = MAX_INTEGER) -> int:
        """An integer within limits."""
        value = self.take(key)
        if not _is_integer(value) or not low <= value <= high:
            self.refuse(key, f"an integer from {low} to {high}", value)
        return int(value)

    def number(self, key: str) -> float:
        """A finite number that is not negative."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            self.refuse(key, "a number that is not negative", value)
        return float(value)

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self.take(key)
        if not isinstance(value, bool):
            self.refuse(key, "true or false", value)
        return value

    def choice(self, key: str, among: Sequence[str]) -> str:
        """One of several words."""
        value = self.text(key)
        if value not in among:
            self.refuse(key, f"one of {', '.join(among)}", value)
        return value

    def hash(self, key: str) -> str:
        """A SHA-256 in lower-case hexadecimal."""
        return self._match(key, _HASH, "64 lower-case hexadecimal digits")

    def bundle(self, key: str) -> str:
        """A bundle id."""
        return self._match(key, _BUNDLE, "1 to 128 letters, digits, _ or -")

    def night(self, key: str) -> str:
        """A night, YYYYMMDD."""
        return self._match(key, _NIGHT, "YYYYMMDD")

    def name(self, key: str) -> str:
        """A file name without directories."""
        value = self.text(key)
        if wrong := check_name(value):
            self.refuse(key, wrong, value)
        return value

    def time(self, key: str) -> datetime:
        """A UTC time."""
        value = self._match(key, _TIME, "a UTC time YYYY-MM-DDThh:mm:ss[.ffffff]Z")
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.refuse(key, "a time that exists", value)

    def mapping(self, key: str, check: Callable[[Any], bool], expected: str) -> dict[str, Any]:
        """An object whose values pass a check."""
        value = self.take(key)
        if not isinstance(value, dict) or not all(check(each) for each in value.values()):
            self.refuse(key, expected, value)
        return value

    def optional(self, key: str, take: Callable[[str], T]) -> T | None:
        """Null, or what `take` (a method of this object) finds."""
        if key in self._left and self._left[key] is None:
            del self._left[key]
            return None
        return take(key)

    def many(self, key: str, low: int, high: int) -> Iterable[tuple[int, Any]]:
        """The items of a list of limited length, with their index."""
        value = self.take(key)
        if not isinstance(value, list) or not low <= len(value) <= high:
            self.refuse(key, f"a list of {low} to {high} items", value)
        return enumerate(value)

    def _match(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not pattern.match(value):
            self.refuse(key, expected, value)
        return value


def is_scalar(value: Any) -> bool:
    """Whether a value is a string, number or boolean."""
    return isinstance(value, str | int | float | bool)


def is_u32(value: Any) -> bool:
    """Whether a value is an integer of 32 bits without sign."""
    return _is_integer(value) and 0 <= value < 1 << 32


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
