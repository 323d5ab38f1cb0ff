"""Which columns of a reference catalogue hold what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processors.errors import BadCatalogue

_RA: Final = ("ra", "ra_deg", "ra_icrs", "raj2000", "_raj2000", "radeg", "alpha_j2000", "ra_j2000")
_DEC: Final = ("dec", "dec_deg", "de_icrs", "dej2000", "_dej2000", "dedeg", "delta_j2000", "dec_icrs", "dec_j2000")
_PM_RA: Final = ("pmra", "pm_ra", "pmra_masyr", "pmra_mas_yr")
_PM_DEC: Final = ("pmdec", "pm_dec", "pmde", "pmdec_masyr", "pmdec_mas_yr")
_EPOCH: Final = ("ref_epoch", "refepoch")
_BAND: Final = (
    re.compile(r"phot_(?P<band>\w+?)_mean_mag"),  # Gaia: phot_g_mean_mag
    re.compile(r"(?P<band>\w+?)_?mag"),  # gmag, r_mag
    re.compile(r"mag_(?P<band>\w+)"),  # MAG_VT
    re.compile(r"(?P<band>mag)"),
)
_ERROR: Final = ("e_{0}", "{0}_error", "{0}_err", "err_{0}")


@dataclass(frozen=True, slots=True)
class CatalogueColumns:
    """Names of columns.

    Attributes
    ----------
    ra, dec : str
        ICRS positions, degrees.
    magnitudes, errors : mapping of str to str
        Column by band.
    pm_ra, pm_dec : str, optional
        Proper motions, mas/yr; the first times cos Dec.
    epoch : str or float, optional
        Julian year of the positions: a column, or a number that holds for all.
    """

    ra: str
    dec: str
    magnitudes: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    pm_ra: str | None = None
    pm_dec: str | None = None
    epoch: str | float | None = None

    def names(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        epoch = (self.epoch,) if isinstance(self.epoch, str) else ()
        motions = () if self.pm_ra is None or self.pm_dec is None else (self.pm_ra, self.pm_dec)
        every = (self.ra, self.dec, *self.magnitudes.values(), *self.errors.values(), *motions, *epoch)
        return tuple(dict.fromkeys(every))


def parse_columns(text: str) -> CatalogueColumns:
    """A mapping as a person writes it: `ra=RA,dec=DE,g=gmag,e_g=gerr,pm_ra=pmRA,pm_dec=pmDE,epoch=2016.0`.

    Any other key is a band, with `e_` in front its error. Raises BadCatalogue.
    """
    pairs: dict[str, str] = {}
    for part in text.split(","):
        key, equals, name = (piece.strip() for piece in part.partition("="))
        if not (key and equals and name) or key in pairs:
            raise BadCatalogue(f"columns: {part.strip()!r} is no KEY=COLUMN, or comes twice, in {text!r}")
        pairs[key] = name
    return columns_of(pairs)


def columns_of(pairs: Mapping[str, Any]) -> CatalogueColumns:
    """The mapping `parse_columns` reads, of keys to names (BadCatalogue)."""
    rest = dict(pairs)
    fixed = {key: rest.pop(key, None) for key in ("ra", "dec", "pm_ra", "pm_dec", "epoch")}
    if not fixed["ra"] or not fixed["dec"]:
        raise BadCatalogue("columns: ra and dec must be named too, say ra=RA,dec=DEC,g=gmag")
    if (fixed["pm_ra"] is None) != (fixed["pm_dec"] is None):
        raise BadCatalogue("columns: pm_ra and pm_dec belong together")
    fixed["epoch"] = _epoch(fixed["epoch"])
    if not all(isinstance(name, str) for name in rest.values()):
        raise BadCatalogue(f"columns: names must be texts in {rest}")
    errors = {key[2:]: rest.pop(key) for key in list(rest) if key.startswith("e_")}
    if strange := sorted(set(errors) - set(rest)):
        raise BadCatalogue(f"columns: errors of bands without magnitudes: {', '.join(strange)}")
    return CatalogueColumns(magnitudes=rest, errors=errors, **fixed)


def _epoch(value: Any) -> str | float | None:
    if value is None:
        return None
    try:
        year = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not 1800 < year < 2200:
        raise BadCatalogue(f"columns: epoch {value} is no Julian year")
    return year


def guess_columns(names: Sequence[str], place: Path | str) -> CatalogueColumns:
    """The mapping of a catalogue that uses common names, in any case (BadCatalogue where there are no positions)."""
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.lower(), name)

    def first(candidates: Sequence[str]) -> str | None:
        return next((by_lower[name] for name in candidates if name in by_lower), None)

    ra, dec = first(_RA), first(_DEC)
    if ra is None or dec is None:
        raise BadCatalogue(f"{place}: no columns with RA and Dec by a common name among {', '.join(names)}: name them")
    bands: dict[str, str] = {}
    errors: dict[str, str] = {}
    for lower, name in by_lower.items():
        match = next((m for m in (pattern.fullmatch(lower) for pattern in _BAND) if m), None)
        if match is None or lower.startswith(("e_", "err_")):
            continue
        band = match["band"].upper() if name.isupper() else match["band"]
        bands.setdefault(band, name)
        error = first([form.format(lower) for form in _ERROR])
        if error is not None:
            errors.setdefault(band, error)
    pm_ra, pm_dec = first(_PM_RA), first(_PM_DEC)
    if pm_ra is None or pm_dec is None:
        pm_ra = pm_dec = None
    return CatalogueColumns(ra, dec, bands, errors, pm_ra, pm_dec, first(_EPOCH))
