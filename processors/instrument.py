"""Instruments: loaded from their files, recognised by headers."""

from __future__ import annotations

import datetime as dt
import importlib.resources
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.cards import Header
from processors.errors import BadInstrument, UnknownInstrument
from processors.geometry import Amplifier, DetectorSetup, Section, detector_setup
from processors.identity import FrameIdentity, SequenceRef, detector_headers, holds, identify, text_of
from processors.instrument_schema import InstrumentSpec, Limit, Obstype
from processors.spectra.setup import SpectrographSetup

__all__ = [
    "Amplifier",
    "DetectorSetup",
    "FrameIdentity",
    "Instrument",
    "Instruments",
    "Limit",
    "Obstype",
    "Section",
    "SequenceRef",
    "load_instruments",
]


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument and the rules of its file."""

    spec: InstrumentSpec

    @property
    def name(self) -> str:
        """Name, as in `FrameIdentity.instrument`."""
        return self.spec.name

    def recognises(self, headers: Sequence[Header], name: str) -> bool:
        """Whether one of the file's ways to recognise the instrument holds for these headers and this file name."""
        return any(
            holds(way.cards, headers[:1]) and (way.file_name is None or re.search(way.file_name, name) is not None)
            for way in self.spec.recognise
        )

    def identify(self, headers: Sequence[Header], name: str) -> FrameIdentity:
        """Identity of a frame of this instrument (BadFrame when a card is missing or absurd)."""
        return identify(self.spec, headers, name)

    def setups(self, headers: Sequence[Header], name: str) -> tuple[DetectorSetup, ...]:
        """Amplifiers of every detector in the file, in the file's order (BadFrame when they make no sense)."""
        found = detector_headers(self.spec, headers, name)
        return tuple(detector_setup(self.spec, name, header, headers[0], headers) for name, header in found.items())

    def limit(self, check: str, identity: FrameIdentity) -> Limit | None:
        """Limits of a check: the latest that were in force on the night and hold for this obstype and filter."""
        night = dt.datetime.strptime(identity.night, "%Y%m%d").date()
        table: dict[Any, tuple[Limit, ...]] = dict(self.spec.checks)
        held = [
            limit
            for limit in table.get(check, ())
            if limit.since <= night
            and (limit.obstypes is None or identity.obstype in limit.obstypes)
            and (limit.filters is None or identity.filter in limit.filters)
        ]
        return max(held, key=lambda limit: limit.since, default=None)

    def pixel_scale_arcsec(self, headers: Sequence[Header]) -> float | None:
        """Arcseconds per (binned) pixel, or None where the file says nothing."""
        scale = self.spec.pixel_scale
        if scale is None:
            return None
        factor = 1.0
        if scale.binning is not None:
            values = [header[scale.binning[0]] for header in headers if scale.binning[0] in header]
            factor = float(values[0]) if values and isinstance(values[0], int | float) and values[0] > 0 else 1.0
        return scale.arcsec * factor

    def spectrograph(self, headers: Sequence[Header]) -> SpectrographSetup | None:
        """The spectrograph of a frame with these headers: the first whose cards match, or None."""
        return next((entry.setup() for entry in self.spec.spectrographs if holds(entry.when, headers)), None)


@dataclass(frozen=True, slots=True)
class Instruments:
    """All known instruments; where two recognise a frame the first wins."""

    known: tuple[Instrument, ...]

    def named(self, name: str) -> Instrument:
        """The instrument of this name (UnknownInstrument otherwise)."""
        for instrument in self.known:
            if instrument.name == name:
                return instrument
        raise UnknownInstrument(f"no instrument file for {name!r}; known: {', '.join(i.name for i in self.known)}")

    def recognise(self, headers: Sequence[Header], name: str) -> Instrument:
        """The instrument that took this frame (UnknownInstrument when no file recognises it)."""
        for instrument in self.known:
            if instrument.recognises(headers, name):
                return instrument
        seen = [f"{card}={text_of(headers[0][card])!r}" for card in ("INSTRUME", "TELESCOP") if card in headers[0]]
        raise UnknownInstrument(f"no instrument file recognises it ({', '.join(seen) or 'no INSTRUME card'})")

    def identify(self, headers: Sequence[Header], name: str) -> FrameIdentity:
        """Identity of a frame; `name` is the file's name without its directory.

        Raises
        ------
        UnknownInstrument
            No instrument file recognises it.
        BadFrame
            A card that identity needs is missing or makes no sense, or the file is one of our own products.
        """
        if "NFKIND" in headers[0]:
            raise UnknownInstrument(f"a nightferry product ({text_of(headers[0]['NFKIND'])}), not a raw frame")
        return self.recognise(headers, name).identify(headers, name)


def load_instruments(extra_dirs: Sequence[Path] = ()) -> Instruments:
    """Load the built-in instrument files and those of a site's directories, which win over built-ins of the same name.

    Raises
    ------
    BadInstrument
        One line for every mistake in any of the files: path, place in the file, what was expected.
    """
    mistakes: list[str] = []
    specs: dict[str, InstrumentSpec] = {}
    builtin = importlib.resources.files("processors.instruments")
    files = [(p.name, p.read_text("utf-8")) for p in sorted(builtin.iterdir(), key=str) if p.name.endswith(".yaml")]
    for name, text in files:
        _load(name, text, specs, mistakes)
    site: dict[str, InstrumentSpec] = {}
    for directory in extra_dirs:
        if not Path(directory).is_dir():
            mistakes.append(f"{directory}: expected a directory of instrument files")
        for path in sorted(Path(directory).glob("*.yaml")):
            _load(str(path), path.read_text("utf-8", errors="replace"), site, mistakes)
    if mistakes:
        raise BadInstrument("\n".join(mistakes))
    return Instruments(
        tuple(Instrument(spec) for spec in {**site, **{n: s for n, s in specs.items() if n not in site}}.values())
    )


def _load(name: str, text: str, into: dict[str, InstrumentSpec], mistakes: list[str]) -> None:
    import yaml
    from pydantic import ValidationError

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that cannot be
        mistakes.append(f"{name}: not YAML: {' '.join(str(error).split())}")
        return
    try:
        spec = InstrumentSpec.model_validate(document)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            place = ".".join(str(part) for part in mistake["loc"]) or "the file"
            given = "" if mistake["type"] == "missing" else f", not {_short(mistake['input'])}"
            mistakes.append(f"{name}: {place}: {mistake['msg'].removeprefix('Value error, ')}{given}")
        return
    if spec.name in into:
        mistakes.append(f"{name}: name: {spec.name} is already the name of another file's instrument")
    into[spec.name] = spec


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
