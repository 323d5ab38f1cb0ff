"""Lamps whose lines are known: package data, see the head of arc_lines.csv for its source."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from processors.errors import BadInstrument


@cache
def lamp_table() -> Mapping[str, Sequence[tuple[float, float]]]:
    """Lines of every lamp by its ion: air wavelength Å and rough strength."""
    table: dict[str, list[tuple[float, float]]] = {}
    text = files("processors.spectra").joinpath("arc_lines.csv").read_text(encoding="utf-8")
    for ion, wavelength, strength in csv.reader(line for line in text.splitlines() if not line.startswith("#")):
        table.setdefault(ion, []).append((float(wavelength), float(strength)))
    return table


def known_lamps(lamps: Sequence[str]) -> tuple[str, ...]:
    """The same names, each once (BadInstrument where there are no lines of one)."""
    table = lamp_table()
    for lamp in lamps:
        if lamp not in table:
            raise BadInstrument(f"no lines of a lamp {lamp!r}: there are {', '.join(sorted(table))}")
    return tuple(dict.fromkeys(lamps))
