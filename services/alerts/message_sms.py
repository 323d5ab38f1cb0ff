"""The text of a short message: 160 characters of the GSM alphabet, in which the numbers survive every cut.

The alphabet is that of 3GPP TS 23.038, section 6.2.1: 128 characters of seven bits, and an extension table whose
characters take two places. We leave out its currency sign, which smsd sends as a euro.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from typing import Final

from services.alerts.message_facts import Facts
from services.alerts.message_kinds import SMS_WORD, What

SMS_LENGTH: Final = 160
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("^{}\\[~]|€")
_NEAR: Final = {
    "°": "", "º": "", "ª": "", "µ": "u", "μ": "u", "σ": "sigma", "α": "alpha", "β": "beta", "λ": "lambda", "δ": "delta",
    "−": "-", "–": "-", "—": "-", "‑": "-", "×": "x", "·": ".", "…": "..", "≤": "<=", "≥": ">=", "±": "+-", "≠": "!=",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "`": "'", "´": "'", "\t": " ", "\r": "", "→": "->", "″": '"',
    "′": "'", "ç": "c", "đ": "d", "ł": "l", "Ł": "L", "•": "-",
}  # fmt: skip


def septets(text: str) -> int:
    """Places that a text takes in a short message; its characters are all in the GSM alphabet."""
    return sum(2 if char in _EXTENSION else 1 for char in text)


def to_gsm7(text: str) -> str:
    """The text in the GSM alphabet: what is near is put for what is missing, `?` where nothing is near."""
    out = []
    for char in text:
        if char in _BASIC or char in _EXTENSION:
            out.append(char)
        elif char in _NEAR:
            out.append(_NEAR[char])
        else:
            plain = unicodedata.normalize("NFKD", char)
            near = "".join(
                _NEAR.get(part, part) for part in plain if part in _BASIC or part in _EXTENSION or part in _NEAR
            )
            is_mark = unicodedata.category(char)[0] in "MC"
            out.append(near or ("" if is_mark else "?"))
    return "".join(out)


def cut(text: str, most: int) -> str:
    """At most `most` septets: the middle goes, for names differ at their ends."""
    if septets(text) <= most:
        return text
    if most < 6:
        return _head(text, most)
    tail = _head(text[::-1], (most - 2) // 2)[::-1]
    return _head(text, most - 2 - septets(tail)) + ".." + tail


def _head(text: str, most: int) -> str:
    for end, char in enumerate(text):
        most -= septets(char)
        if most < 0:
            return text[:end]
    return text


def sms_text(what: What, facts: Sequence[Facts], site: str, now: float) -> str:
    """The short message of some alerts, the gravest first: never longer than one SMS, never without its numbers.

    Site, severity, value, limit and unit always stand; the name is cut in its middle when it must be; the time and the
    alert's own words come when there is room.
    """
    head = to_gsm7(f"{cut(to_gsm7(site), 32)} {_severity(facts)}{SMS_WORD[what]}")
    if not facts:
        return f"{head}: {'this is a test message' if what == 'test' else 'nothing is open'}, {_clock(now)}"
    first = facts[0]
    more = f" +{len(facts) - 1} more" if len(facts) > 1 else ""
    reading = _reading(first)
    room = SMS_LENGTH - septets(head) - 2 - septets(reading) - septets(more)
    text = f"{head}: {cut(to_gsm7(first.label), room)}{reading}{more}"
    # A message that says the value again is not worth its room.
    words = to_gsm7(first.message)
    told_at = now if what in ("resolved", "acknowledged") else first.raised_at
    by = f" by {to_gsm7(first.acked_by)}" if what == "acknowledged" and first.acked_by else ""
    extras = [f"{by}, {_clock(told_at)}", *([] if first.value and first.value in words else [f". {words}"])]
    if not reading:
        extras.reverse()
    for extra in extras:
        left = SMS_LENGTH - septets(text)
        if septets(extra) <= left:
            text += extra
        elif left >= 24 and extra.startswith(". "):
            text += _head(extra, left - 2) + ".."
    return text


def _severity(facts: Sequence[Facts]) -> str:
    return f"S{max(item.severity for item in facts)} " if facts else ""


def _reading(facts: Facts) -> str:
    unit = cut(to_gsm7(facts.unit), 12)
    unit = f" {unit}" if unit else ""
    parts = [f" {cut(to_gsm7(facts.value), 24)}{unit}" if facts.value else ""]
    if facts.limit:
        parts.append(f" limit {cut(to_gsm7(facts.limit), 24)}{unit}")
    return "".join(parts)


def _clock(at: float) -> str:
    return time.strftime("%H:%M UTC", time.gmtime(at))
