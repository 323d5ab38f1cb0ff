"""Header cards as text, for the products that we write."""

from __future__ import annotations

import math

from processors.cards import CARD, Value

Card = tuple[str, Value, str]  # keyword, value, comment


def format_card(keyword: str, value: Value, comment: str = "") -> str:
    """One card of 80 characters (or several, with CONTINUE, for long strings).

    Keywords longer than eight characters or with blanks become `HIERARCH` cards. `COMMENT` and `HISTORY` take text.

    Raises
    ------
    ValueError
        The keyword or value cannot be written (NaN, no ASCII, too long).
    """
    if keyword in {"COMMENT", "HISTORY"}:
        text = ascii_text(str(value))
        width = CARD - 8
        return "".join(f"{keyword:<8}{text[i : i + width]:<{width}}" for i in range(0, max(len(text), 1), width))
    start = f"{keyword:<8}= " if len(keyword) <= 8 and " " not in keyword else f"HIERARCH {keyword} = "
    if isinstance(value, str):
        return _text_cards(start, ascii_text(value).replace("'", "''"), comment)
    card = f"{start}{_plain(value):>20}" if len(start) <= 10 else f"{start}{_plain(value)}"
    if len(card) > CARD:
        raise ValueError(f"{keyword} does not fit into a card")
    return _with_comment(card, comment)


def ascii_text(text: str) -> str:
    """Text as FITS can hold it: anything outside printable ASCII becomes `?`."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def _plain(value: int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written to a header")
        text = repr(float(value)).upper()
        return text if "." in text or "E" in text else text + ".0"
    return str(value)


def _with_comment(card: str, comment: str) -> str:
    if comment and len(card) + 3 < CARD:
        card = f"{card} / {ascii_text(comment)}"
    return f"{card[:CARD]:<{CARD}}"


def _text_cards(start: str, text: str, comment: str) -> str:
    room = CARD - len(start) - 2
    if len(text) <= room:
        return _with_comment(f"{start}'{text:<8}'", comment)
    cards = ""
    while len(text) > room:
        cut = room - 1
        if text[:cut].count("'") % 2:  # do not part a doubled quote
            cut -= 1
        cards += f"{start}'{text[:cut]}&'".ljust(CARD)
        text, start, room = text[cut:], "CONTINUE  ", CARD - 12
    return cards + _with_comment(f"{start}'{text}'", comment)
