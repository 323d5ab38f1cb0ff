"""Values of FITS header cards: strict about what a value is, tolerant of what cannot be one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

Value = str | int | float | bool | None

CARD: Final = 80
_SEARCHED: Final = 24  # lookups until a list of all cards is worth its making
_STRING: Final = re.compile(r"'((?:[^']|'')*)'")
_INTEGER: Final = re.compile(r"[+-]?\d+")
_FLOAT: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")
_CONTROL: Final = re.compile(r"[^ -~]")
_NOTHING: Final = object()
_COMMENTARY: Final = frozenset({"COMMENT", "HISTORY", "", "CONTINUE", "END"})


def parse_value(field: str) -> tuple[Value, bool]:
    """Value of a card's field (all that follows the `=`), and whether it is well formed.

    Follows the FITS Standard 4.0, section 4.2: strings in quotes (two quotes for one inside, trailing blanks are not
    significant), `T` or `F`, integers, reals with `E` or `D` exponents; a blank field is an undefined value (None).
    What is none of these comes back as its stripped text with False.
    """
    text = field.lstrip()
    if text.startswith("'"):
        match = _STRING.match(text)
        if match is None:
            return text[1:].rstrip(), False
        return match.group(1).replace("''", "'").rstrip(), True
    bare = text.partition("/")[0].strip()
    if bare == "":
        return None, True
    if bare in {"T", "F"}:
        return bare == "T", True
    if _INTEGER.fullmatch(bare):
        return int(bare), True
    if _FLOAT.fullmatch(bare):
        number = float(bare.replace("D", "E").replace("d", "e"))
        return (number, True) if math.isfinite(number) else (bare, False)
    return bare, False


def split_card(card: str) -> tuple[str, str] | None:
    """Keyword and value field of a card, None for commentary; `HIERARCH ESO DET X = 1` has the keyword `ESO DET X`."""
    if card[8:9] == "=":
        keyword = card[:8].rstrip()
        return None if keyword in _COMMENTARY else (keyword, card[9:])
    if card.startswith("HIERARCH "):
        keyword, equals, field = card[9:].partition("=")
        if equals:
            return " ".join(keyword.split()), field
    return None


class Header(Mapping[str, Value]):
    """Immutable mapping from keyword to value of one HDU; values are parsed when first asked for.

    `HIERARCH` keywords are spelled without that word (`ESO DET OUT1 CONAD`). The first of several cards with the same
    keyword wins. `COMMENT`, `HISTORY` and blank cards are left out.

    Attributes
    ----------
    index : int
        Number of the HDU in its file, from 0.
    data_offset, data_size : int
        Where the data unit starts in the (uncompressed) file and its length without fill, bytes.
    """

    __slots__ = (
        "_asked",
        "_initials",
        "_places",
        "_plain",
        "_repeated",
        "_table",
        "_text",
        "_values",
        "data_offset",
        "data_size",
        "index",
    )

    def __init__(self, text: str, index: int = 0, data_offset: int = 0, data_size: int = 0) -> None:
        self.index = index
        self.data_offset = data_offset
        self.data_size = data_size
        self._text = text
        self._plain = "HIERARCH" not in text
        self._asked = 0
        self._initials = text[::CARD]
        self._places: dict[str, int] | None = None
        self._values: dict[str, Value] = {}
        self._table: dict[str, str] | None = None
        self._repeated: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Value], index: int = 0) -> Header:
        """A header made of values instead of cards."""
        header = cls("", index)
        header._values = dict(values)
        header._table = dict.fromkeys(values, "")
        return header

    def __getitem__(self, keyword: str) -> Value:
        value: Value | object = self.get(keyword, _NOTHING)
        if value is _NOTHING:
            raise KeyError(keyword)
        return cast(Value, value)

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of a keyword, or the default where there is no such card."""
        if keyword in self._values:
            return self._values[keyword]
        field = self._field(keyword)
        if field is None:
            return default
        value = self._values[keyword] = parse_value(field)[0]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._values or (isinstance(keyword, str) and self._field(keyword) is not None)

    def __repr__(self) -> str:
        return f"Header(HDU {self.index}, {len(self)} cards)"

    def _field(self, keyword: str) -> str | None:
        """Value field of a keyword.

        Few of many cards are ever asked for: the first of them are searched in the text, more in a plain list of where
        each keyword stands; only what is not plain (HIERARCH, long strings) takes the full table.
        """
        if self._table is not None or not self._plain or not 0 < len(keyword) <= 8 or keyword in _COMMENTARY:
            return self._fields.get(keyword)
        start = self._place(f"{keyword:<8}=")
        if start < 0:
            return None
        if keyword[-1] == " " or self._text.startswith("CONTINUE", start + CARD):
            return self._fields.get(keyword)
        return self._text[start + 9 : start + CARD]

    def _place(self, key: str) -> int:
        """Where the first card with a keyword and its `=` starts, or less than 0."""
        if self._places is None and self._asked < _SEARCHED:
            self._asked += 1
            number = self._initials.find(key[0])
            while number >= 0 and not self._text.startswith(key, number * CARD):
                number = self._initials.find(key[0], number + 1)
            return number * CARD
        if self._places is None:
            starts = range(0, len(self._text), CARD)[::-1]  # backwards, so that the first of a keyword stays
            self._places = {self._text[start : start + 9]: start for start in starts}
        return self._places.get(key, -1)

    @property
    def _fields(self) -> dict[str, str]:
        if self._table is None:
            self._table, self._repeated = _tabulate(self._text)
        return self._table

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Keywords that came again after their first card."""
        return self._repeated if self._fields else ()

    @property
    def malformed(self) -> tuple[str, ...]:
        """Keywords whose value is none that FITS knows, or whose card holds characters outside printable ASCII."""
        return tuple(
            keyword
            for keyword, field in self._fields.items()
            if not parse_value(field)[1] or _CONTROL.search(field) or _CONTROL.search(keyword)
        )


def _tabulate(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Value field of every keyword, and the keywords that came again."""
    fields: dict[str, str] = {}
    repeated: list[str] = []
    last = ""
    for start in range(0, len(text), CARD):
        card = text[start : start + CARD]
        if card.startswith("CONTINUE") and last:
            fields[last] = _continued(fields[last], card[8:])
            continue
        split = split_card(card)
        last = ""
        if split is not None and split[0] in fields:
            repeated.append(split[0])
        elif split is not None:
            last = split[0]
            fields[last] = split[1]
    return fields, tuple(repeated)


def _continued(field: str, more: str) -> str:
    """Join a long string's field with that of its CONTINUE card (FITS Standard 4.0, section 4.2.1.2)."""
    head, tail = field.strip(), more.strip()
    first, second = _STRING.match(head), _STRING.match(tail)
    if first is None or second is None or not first.group(1).rstrip().endswith("&"):
        return field
    return f"'{first.group(1).rstrip()[:-1]}{second.group(1)}'"
