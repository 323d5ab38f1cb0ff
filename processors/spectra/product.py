"""A spectrum on disk: a binary table and its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.card_text import Card
from processors.checksum import sum32
from processors.header import BLOCK
from processors.publish import header_block, publish
from processors.spectra.extract import SpectrumFlag
from processors.spectra.reduce_spectrum import Spectrum
from processors.spectra.standard import FluxRatio

_Column = tuple[str, NDArray[Any], str]  # name, values, unit
_TYPES = {"f8": "D", "f4": "E", "u1": "B"}


def write_spectrum(path: Path | str, cards: Sequence[Card], spectrum: Spectrum, ratio: FluxRatio | None = None) -> None:
    """Write a spectrum whole or not at all: temporary name, fsync, rename, fsync of the directory.

    The table SPECTRUM has a row for each pixel along the dispersion, from the one with the lowest number: WAVE (air, Å;
    without an arc PIXEL, from 0), FLUX and VAR (optimal extraction, e- and e-² per pixel), BOXFLUX and BOXVAR (boxcar),
    SKY (in the boxcar, e-), SNR (FLUX / √VAR), TRACE (slit pixel, from 0), FLAGS (bits of `SpectrumFlag`); with a
    standard RATIO and RATIOVAR, 0 where there is none. FITS has no unit for electrons (Standard 4.0, section 4.3), so
    that their columns have none. The same input gives the same bytes.

    Parameters
    ----------
    cards : of the primary header: identity and provenance

    Raises
    ------
    OSError
        Disk full, no permission, …
    """
    primary = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, ""), *cards]
    table = _table("SPECTRUM", _columns(spectrum, ratio), spectrum_cards(spectrum))
    with publish(path) as file:
        file.write(_hdu(primary, b"") + table)


def spectrum_cards(spectrum: Spectrum) -> list[Card]:
    """What is to be known of a spectrum as a whole; it goes into the table's header."""
    made, trace = spectrum.extraction, spectrum.trace
    cards: list[Card] = [
        ("NFTRFWHM", trace.fwhm_px, "FWHM across the slit, pixels"),
        ("NFTRSNR", trace.signal_to_noise, "of the object in the slit's profile"),
        ("NFOTHERS", spectrum.others, "further objects on the slit"),
        ("NFAPERT", made.aperture_px, "width of the boxcar, pixels"),
        ("NFCOSMIC", made.cosmics, "pixels rejected while extracting"),
        ("NFSNRMED", float(np.median(spectrum.signal_to_noise)), "median of SNR"),
    ]
    solution = spectrum.solution
    if solution is not None:
        cards += [
            ("NFWRMS", solution.rms_a, "rms of the arc's lines, Angstrom"),
            ("NFWLINES", solution.place.size, "lines fitted"),
            ("NFWFOUND", solution.found, "lines found in the arc"),
            ("NFWSAT", solution.saturated, "saturated lines, not used"),
            ("NFWORDER", solution.order, "order of the wavelength polynomial"),
            ("NFWFWHM", solution.fwhm_a, "width of a line, Angstrom"),
            ("NFWLOW", solution.covered_a[0], "bluest line fitted, Angstrom"),
            ("NFWHIGH", solution.covered_a[1], "reddest line fitted, Angstrom"),
            ("NFSKYSFT", spectrum.shift_px, "shift to the sky's lines, pixels"),
            ("NFSKYN", len(spectrum.sky_lines), "sky lines for that; 0: unchecked"),
        ]
        for number, line in enumerate(spectrum.sky_lines, 1):
            cards.append((f"NF SKY{number}", f"{line.name} {line.residual_a:+.2f}", "Angstrom by the arc alone"))
    return [*cards, *((f"FLAG{bit.value.bit_length() - 1}", bit.name or "", "bit of FLAGS") for bit in SpectrumFlag)]


def _columns(spectrum: Spectrum, ratio: FluxRatio | None) -> list[_Column]:
    made = spectrum.extraction
    pixel = np.arange(made.flux_e.size, dtype=np.float64)
    first: _Column = ("PIXEL", pixel, "pixel")
    if spectrum.wavelength_a is not None:
        first = ("WAVE", spectrum.wavelength_a, "Angstrom")
    columns = [
        first,
        ("FLUX", made.optimal_e.astype(np.float32), ""),
        ("VAR", made.optimal_var_e2.astype(np.float32), ""),
        ("BOXFLUX", made.flux_e.astype(np.float32), ""),
        ("BOXVAR", made.var_e2.astype(np.float32), ""),
        ("SKY", made.sky_e.astype(np.float32), ""),
        ("SNR", spectrum.signal_to_noise.astype(np.float32), ""),
        ("TRACE", spectrum.trace.position(pixel).astype(np.float32), "pixel"),
        ("FLAGS", made.flags, ""),
    ]
    if ratio is not None:
        columns.append(("RATIO", ratio.ratio.astype(np.float32), ""))
        columns.append(("RATIOVAR", ratio.var.astype(np.float32), ""))
    return columns


def _table(name: str, columns: Sequence[_Column], cards: Sequence[Card]) -> bytes:
    """A binary table (FITS Standard 4.0, section 7.3), numbers big-endian, row by row."""
    names, arrays, units = zip(*columns, strict=True)
    codes = [array.dtype.str[1:] for array in arrays]
    rows = np.empty(arrays[0].size, [(name, f">{code}") for name, code in zip(names, codes, strict=True)])
    for column, array in zip(names, arrays, strict=True):
        rows[column] = array
    head: list[Card] = [
        ("XTENSION", "BINTABLE", "binary table"),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", rows.dtype.itemsize, "bytes of a row"),
        ("NAXIS2", rows.size, "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(columns), "columns"),
        ("EXTNAME", name, ""),
    ]
    for number, (column, code, unit) in enumerate(zip(names, codes, units, strict=True), 1):
        head += [(f"TTYPE{number}", column, ""), (f"TFORM{number}", _TYPES[code], "")]
        if unit:
            head.append((f"TUNIT{number}", unit, ""))
    return _hdu([*head, *cards], rows.tobytes())


def _hdu(cards: Sequence[Card], data: bytes) -> bytes:
    data += bytes(-len(data) % BLOCK)
    return header_block(cards, sum32(data)) + data
