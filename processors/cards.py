"""Values of FITS header cards: strict about what a value is, tolerant of what cannot be one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

Value = str | int | float | bool | None

CARD: Final = 80
_STRING: Final = re.compile(r"'((?:[^']|'')*)'")
_INTEGER: Final = re.compile(r"[+-]?\d+")
_FLOAT: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")
_CONTROL: Final = re.compile(r"[^ -~]")
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

    __slots__ = ("_fields", "_repeated", "_values", "data_offset", "data_size", "index")

    def __init__(self, text: str, index: int = 0, data_offset: int = 0, data_size: int = 0) -> None:
        self.index = index
        self.data_offset = data_offset
        self.data_size = data_size
        self._values: dict[str, Value] = {}
        fields: dict[str, str] = {}
        repeated: list[str] = []
        last = ""
        for start in range(0, len(text), CARD):
            card = text[start : start + CARD]
            if (
                card[8:10] == "= " and card[:7] not in {"COMMENT", "HISTORY"} and card[0] != " "
            ):  # nearly every card; the exceptions are left to split_card
                keyword, field = card[:8].rstrip(), card[10:]
            elif card.startswith("CONTINUE") and last:
                fields[last] = _continued(fields[last], card[8:])
                continue
            else:
                split = split_card(card)
                if split is None:
                    last = ""
                    continue
                keyword, field = split
            if keyword in fields:
                repeated.append(keyword)
                last = ""
            else:
                fields[keyword] = field
                last = keyword
        self._fields = fields
        self._repeated = tuple(repeated)

    @classmethod
    def of(cls, values: Mapping[str, Value], index: int = 0) -> Header:
        """A header made of values instead of cards."""
        header = cls("", index)
        header._values = dict(values)
        header._fields = dict.fromkeys(values, "")
        return header

    def __getitem__(self, keyword: str) -> Value:
        try:
            return self._values[keyword]
        except KeyError:
            value = self._values[keyword] = parse_value(self._fields[keyword])[0]
            return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._fields

    def __repr__(self) -> str:
        return f"Header(HDU {self.index}, {len(self)} cards)"

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Keywords that came again after their first card."""
        return self._repeated

    @property
    def malformed(self) -> tuple[str, ...]:
        """Keywords whose value is none that FITS knows, or whose card holds characters outside printable ASCII."""
        return tuple(
            keyword
            for keyword, field in self._fields.items()
            if not parse_value(field)[1] or _CONTROL.search(field) or _CONTROL.search(keyword)
        )


def _continued(field: str, more: str) -> str:
    """Join a long string's field with that of its CONTINUE card (FITS Standard 4.0, section 4.2.1.2)."""
    head, tail = field.strip(), more.strip()
    first, second = _STRING.match(head), _STRING.match(tail)
    if first is None or second is None or not first.group(1).rstrip().endswith("&"):
        return field
    return f"'{first.group(1).rstrip()[:-1]}{second.group(1)}'"
