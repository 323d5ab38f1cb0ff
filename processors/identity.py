"""From headers to a frozen identity, by the rules of an instrument file."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from processors.cards import Header, Value
from processors.errors import BadFrame
from processors.instrument_schema import InstrumentSpec, Obstype, Source, When
from processors.night import iso, night_of, parse_time

_CLOCKS_AGREE = dt.timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class SequenceRef:
    """Place of an exposure in its sequence: `num` of `total`, counted from 1."""

    id: str
    num: int
    total: int


@dataclass(frozen=True, slots=True)
class FrameIdentity:
    """What a frame is.

    `night` is YYYYMMDD, `date_obs` the start of the exposure (ISO, UTC), `readout` the speed, mode and binning that
    calibrations must share, `slit` the slit of a spectrum, `program` the observing program, `temperature_c` that of the
    (first) detector, None where no card tells it. `flags` lists what is odd
    but no reason to set the frame aside: `NIGHT_MISMATCH` (the header's own night disagrees), `TIME_MISMATCH` (two
    clocks in the header disagree by more than 10 s), `UNEXPECTED_DETECTOR`.
    """

    instrument: str
    night: str
    expid: int
    detectors: tuple[str, ...]
    obstype: Obstype
    exptime_s: float
    filter: str
    object: str
    date_obs: str
    sequence: SequenceRef | None
    mode: Literal["imaging", "spectroscopy"]
    readout: str
    expected_detectors: int
    flags: tuple[str, ...] = ()
    slit: str = ""
    program: str = ""
    temperature_c: float | None = None


def text_of(value: Value) -> str:
    """A card's value as text; undefined is empty."""
    if isinstance(value, bool):
        return "T" if value else "F"
    return "" if value is None else str(value).strip()


def look_up(source: Source, headers: Sequence[Header], name: str) -> str | None:
    """Text of a source: its cards, each in the first header with a value; else the file's name; else the default."""
    found = [text for card in source.cards if (text := _card(card, headers)) and text not in source.ignore]
    found = [_cut(source.pattern, text) for text in found]
    if found:
        return found[0] if source.join is None else source.join.join(found)
    if source.file_name is not None and (match := re.search(source.file_name, name)):
        return match.group(1) if match.re.groups else match.group(0)
    return source.default


def holds(when: When, headers: Sequence[Header]) -> bool:
    """Whether every card's whole value matches its regular expression, in any case."""
    return all(
        (text := _card(card, headers)) is not None and re.fullmatch(regex, text, re.IGNORECASE) is not None
        for card, regex in when.items()
    )


def detector_headers(spec: InstrumentSpec, headers: Sequence[Header], name: str) -> dict[str, Header]:
    """Header of every detector that the file holds, by the detector's name, in the file's order.

    Raises
    ------
    BadFrame
        Two HDUs name the same detector, or none names one.
    """
    found: dict[str, Header] = {}
    if spec.detectors.layout == "single":
        image = next((header for header in headers if has_pixels(header)), headers[0])
        detector = look_up(spec.detectors.id, (headers[0], image), name)
        return {_needed(detector, "detector", spec.detectors.id): image}
    for header in headers:
        detector = look_up(spec.detectors.id, (header,), name)
        if detector is None or not has_pixels(header) or detector not in spec.detectors.expected:
            continue  # guide and focus chips, tables
        if detector in found:
            raise BadFrame(f"detector {detector} is in HDU {found[detector].index} and again in HDU {header.index}")
        found[detector] = header
    return found


def expected_detectors(spec: InstrumentSpec, headers: Sequence[Header]) -> tuple[str, ...]:
    """Names of the detectors that an exposure with these headers has (BadFrame when the card's number is absurd)."""
    expected, card = spec.detectors.expected, spec.detectors.count
    text = None if card is None else _card(card, headers)
    if text is None:
        return expected
    if not text.isdecimal() or not 1 <= int(text) <= len(expected):
        raise BadFrame(f"{card} is {text[:20]!r}, expected a number of detectors from 1 to {len(expected)}")
    return expected[: int(text)]


def has_pixels(header: Header) -> bool:
    """Whether an HDU holds an image of two or more axes, tile-compressed or not."""
    tiled = header.get("ZIMAGE") is True
    naxis = header.get("ZNAXIS" if tiled else "NAXIS")
    return isinstance(naxis, int) and naxis >= 2 and (tiled or header.get("XTENSION", "IMAGE") == "IMAGE")


def identify(spec: InstrumentSpec, headers: Sequence[Header], name: str) -> FrameIdentity:
    """Identity of a frame of this instrument; `name` is the file's name without its directory.

    Raises
    ------
    BadFrame
        A card that identity needs is missing or makes no sense; the message names it.
    """
    detectors = detector_headers(spec, headers, name)
    chain = (headers[0], *list(detectors.values())[:1])
    rules = spec.identity
    time, flags = _time(spec, chain, name)
    night = night_of(time, spec.site)
    if rules.night_card is not None:
        card = re.sub(r"\D", "", _card(rules.night_card, chain) or "")
        if card and card != night:
            flags.append("NIGHT_MISMATCH")
    if any(detector not in spec.detectors.expected for detector in detectors):
        flags.append("UNEXPECTED_DETECTOR")
    exptime_s = _number(look_up(rules.exptime_s, chain, name), "exposure time", rules.exptime_s) * rules.exptime_s.scale
    spectroscopy = rules.spectroscopy is not None and holds(rules.spectroscopy, chain)
    return FrameIdentity(
        instrument=spec.name,
        night=night,
        expid=_whole(look_up(rules.expid, chain, name), "exposure number", rules.expid),
        detectors=tuple(detectors),
        obstype=_obstype(spec, chain, exptime_s),
        exptime_s=exptime_s,
        filter=look_up(rules.filter, chain, name) or "",
        object=look_up(rules.object, chain, name) or "",
        date_obs=iso(time),
        sequence=_sequence(spec, chain, name),
        mode="spectroscopy" if spectroscopy else "imaging",
        readout=look_up(rules.readout, chain, name) or "",
        expected_detectors=len(expected_detectors(spec, chain)),
        flags=tuple(flags),
        slit=look_up(rules.slit, chain, name) or "",
        program=look_up(rules.program, chain, name) or "",
        temperature_c=None if rules.temperature_c is None else _sensed(look_up(rules.temperature_c, chain, name)),
    )


def _card(card: str, headers: Sequence[Header]) -> str | None:
    for header in headers:
        if text := text_of(header.get(card)):
            return text
    return None


def _cut(pattern: str | None, text: str) -> str:
    match = re.search(pattern, text) if pattern else None
    if match is None:
        return text
    return match.group(1) if match.re.groups else match.group(0)


def _time(spec: InstrumentSpec, chain: Sequence[Header], name: str) -> tuple[dt.datetime, list[str]]:
    times = [
        parse_time(text, source.format)
        for source in spec.identity.time
        if (text := look_up(source, chain, name)) is not None
    ]
    if not times:
        cards = ", ".join(card for source in spec.identity.time for card in source.cards)
        raise BadFrame(f"no time of observation ({cards})")
    apart = any(abs(time - times[0]) > _CLOCKS_AGREE for time in times)
    return times[0], ["TIME_MISMATCH"] if apart else []


def _obstype(spec: InstrumentSpec, chain: Sequence[Header], exptime_s: float) -> Obstype:
    for rule in spec.identity.obstypes:
        low, high = rule.exptime_s or (None, None)
        long_enough = low is None or exptime_s >= low
        if long_enough and (high is None or exptime_s <= high) and holds(rule.when, chain):
            return rule.obstype
    return "unknown"


def _sequence(spec: InstrumentSpec, chain: Sequence[Header], name: str) -> SequenceRef | None:
    rules = spec.identity.sequence
    if rules is None:
        return None
    parts = [look_up(source, chain, name) for source in (rules.id, rules.num, rules.total)]
    if not all(parts):
        return None
    return SequenceRef(
        parts[0] or "", _whole(parts[1], "sequence number", rules.num), _whole(parts[2], "sequence length", rules.total)
    )


def _needed(text: str | None, what: str, source: Source) -> str:
    if text is None or not text:
        raise BadFrame(f"no {what} ({', '.join(source.cards) or 'file name'})")
    return text


def _number(text: str | None, what: str, source: Source) -> float:
    text = _needed(text, what, source)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise BadFrame(f"{what} is {text!r} ({', '.join(source.cards) or 'file name'})")
    return number


def _sensed(text: str | None) -> float | None:
    """What a sensor says; a broken one is no reason to set a frame aside."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(text: str | None, what: str, source: Source) -> int:
    number = _number(text, what, source)
    if number != int(number) or number >= 2**63:
        raise BadFrame(f"{what} is {text!r}, not a whole number ({', '.join(source.cards) or 'file name'})")
    return int(number)
