"""Tables for a terminal of any width: what does not fit is shortened first, then left out, never wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

GAP: Final = 1
NOTHING: Final = ("", "-")


@dataclass(frozen=True)
class Column:
    """A column. `least` is the width in cells to which it may be shortened (0: never shortened).

    `drop` says when it goes in a terminal that is too narrow: the highest first, 0 never; one that may go does so too
    where it says nothing. `clean` columns (times, words known by their beginning) are cut without a mark.
    """

    title: str
    right: bool = False
    least: int = 0
    drop: int = 0
    clean: bool = False


def plain(text: object) -> str:
    """Text that is safe on a terminal: headers and messages come from anywhere, and escape sequences with them."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def cell(text: object, style: str = "") -> Text:
    """One cell: safe text in a style."""
    return Text(plain(text), style=style, no_wrap=True, end="")


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """The heading and the rows as lines of at most `width` cells.

    Parameters
    ----------
    rows
        One cell per column.
    """
    natural = [max([len(column.title), *(row[index].cell_len for row in rows)]) for index, column in enumerate(columns)]
    said = {
        n for n, column in enumerate(columns) if not column.drop or any(row[n].plain not in NOTHING for row in rows)
    }
    widths = _widths(columns, {n: cells for n, cells in enumerate(natural) if n in said}, width)
    heading = [cell(column.title, "bold") for column in columns]
    return [_line(columns, row, widths, width) for row in (heading, *rows)]


def _widths(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    """Width of every column that stays, by its index."""
    kept = dict(natural)
    while True:
        over = sum(kept.values()) + GAP * (len(kept) - 1) - width
        give = {n: kept[n] - columns[n].least for n in kept if columns[n].least and kept[n] > columns[n].least}
        if over <= sum(give.values()):
            break
        going = max(kept, key=lambda n: columns[n].drop)
        if not columns[going].drop:
            break
        del kept[going]
    for index in sorted(give, key=lambda n: -give[n]):
        taken = max(0, min(give[index], over))
        kept[index] -= taken
        over -= taken
    return kept


def _line(columns: Sequence[Column], row: Sequence[Text], widths: dict[int, int], width: int) -> Text:
    line = Text(no_wrap=True, end="")
    for index, cells in widths.items():
        item = row[index].copy()
        item.truncate(cells, overflow="crop" if columns[index].clean else "ellipsis")
        blank = " " * (cells - item.cell_len)
        line.append(" " * GAP if line else "")
        line.append_text(Text(blank).append_text(item) if columns[index].right else item.append(blank))
    line.rstrip()
    line.truncate(width, overflow="crop")
    return line
