"""How `nightferry wcs fit` finds the solution of an image: by its header, by a guess, by astrometry.net."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from processors.astrometry.agreement import Agreement
from processors.astrometry.convert import convert_wcs
from processors.astrometry.fit import Guess, Solution, fit_solution
from processors.astrometry.header_wcs import form_of, read_wcs
from processors.astrometry.images import SkyImage
from processors.astrometry.plane import ImagePlane
from processors.astrometry.represent import Form, Written
from processors.astrometry.solve_field import solve_field
from processors.astrometry.stars import Stars
from processors.catalogue.catalogue import Catalogue, cone_of
from processors.catalogue.reference import Reference
from processors.errors import BadFrame, NoSolution

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from processors.card_text import Card

_FOREIGN_PX = 0.05  # what a solution of astrometry.net may lose in our form, without a catalogue to fit it to
_AFTER_SOLVER_PX = 20.0  # how far it may be off


@dataclass(frozen=True, slots=True)
class Search:
    """What `wcs fit` was asked for: `program` and `index_dir` are those of `solve-field`, each None without it."""

    sky: Reference | None
    arcsec: float
    form: Form
    most_order: int
    guess: Guess | None = None
    program: Path | None = None
    index_dir: Path | None = None
    seconds: float = 60.0

    def cone(self, image: SkyImage) -> tuple[float, float, float] | None:
        """Where the catalogue is needed for an image; None where nothing says it."""
        cones = [] if (wcs := usable(image)) is None else [ImagePlane.of(wcs, image.shape).cone(self.arcsec / 3600)]
        if self.guess is not None:
            side = self.guess.scale_arcsec * (1 + self.guess.scale_tolerance) / 3600
            radius = min(90.0, math.hypot(*image.shape) / 2 * side + self.arcsec / 3600)
            cones.append((self.guess.ra_deg, self.guess.dec_deg, radius))
        return cone_of(cones) if cones else None


@dataclass(frozen=True, slots=True)
class Found:
    """A solution: `method` is header, guess or solve-field; without `cards` the header's own is as good and stays.

    `tried` says why the ways before it led nowhere.
    """

    method: str
    form: str
    order: int
    cards: tuple[Card, ...]
    plane: ImagePlane
    agreement: Agreement | None = None
    given: Agreement | None = None
    predicted_rms_arcsec: float | None = None
    tried: tuple[str, ...] = ()


def usable(image: SkyImage) -> WCS | None:
    """The solution in an image's header; None where there is none, or none that can be read."""
    try:
        return read_wcs(image.header)
    except BadFrame:
        return None


def solve(image: SkyImage, stars: Stars, catalogue: Catalogue | None, search: Search, epoch: float | None) -> Found:
    """The first of three ways that leads to a solution.

    Raises
    ------
    NoSolution
        None does; every reason is given.
    BadCatalogue
        The catalogue around a place that `solve-field` found cannot be read.
    """
    reasons: list[str] = []
    wcs = usable(image)
    for method, start in _starts(image, wcs, catalogue, search, reasons):
        assert catalogue is not None
        try:
            fitted = fit_solution(stars, image.shape, catalogue, start, search.form, search.most_order, search.arcsec)
            return replace(_fitted(method, image, fitted, wcs), tried=tuple(reasons))
        except NoSolution as error:
            reasons.append(f"{method}: {error}")
    if search.program is None or search.index_dir is None:
        lacking = "not installed" if search.index_dir is not None else "no --index-dir"
        raise NoSolution("; ".join([*reasons, f"solve-field: {lacking}"]))
    try:
        return replace(_by_solver(image, stars, search, epoch), tried=tuple(reasons))
    except NoSolution as error:
        raise NoSolution("; ".join([*reasons, str(error)])) from error


def _starts(
    image: SkyImage, wcs: WCS | None, catalogue: Catalogue | None, search: Search, reasons: list[str]
) -> Iterator[tuple[str, WCS | Guess]]:
    if wcs is None:
        reasons.append("header: a solution that cannot be read" if image.solved else "header: no solution")
    if catalogue is None:
        return
    if wcs is not None:
        yield "header", wcs
    if search.guess is not None:
        yield "guess", search.guess


def _by_solver(image: SkyImage, stars: Stars, search: Search, epoch: float | None) -> Found:
    assert search.program is not None and search.index_dir is not None
    guess = search.guess
    scale = None
    if guess is not None:
        scale = guess.scale_arcsec / (1 + guess.scale_tolerance), guess.scale_arcsec * (1 + guess.scale_tolerance)
    with tempfile.TemporaryDirectory(prefix="nightferry-") as scratch:
        wcs = solve_field(
            search.program, stars, image.shape, search.index_dir, Path(scratch),
            scale_arcsec=scale, seconds=search.seconds,
        )  # fmt: skip
    if search.sky is not None:
        plane = ImagePlane.of(wcs, image.shape)
        reach = _AFTER_SOLVER_PX * plane.scale_deg
        catalogue = search.sky.around([plane.cone(reach)], epoch)
        solution = fit_solution(
            stars, image.shape, catalogue, wcs, search.form, search.most_order, reach * 3600
        )  # fmt: skip
        if solution.written is not None:
            return _fitted("solve-field", image, solution, None)
    written = convert_wcs(wcs, image.shape, search.form, _FOREIGN_PX)
    agreement = solution.agreement if search.sky is not None else None
    return Found(
        "solve-field", written.form, written.order, written.cards, ImagePlane.of(written.wcs, image.shape), agreement
    )


def _fitted(method: str, image: SkyImage, solution: Solution, given: WCS | None) -> Found:
    written, rest = solution.written, (solution.agreement, solution.given, solution.predicted_rms_arcsec)
    if written is None:
        assert given is not None
        return Found(method, form_of(image.header), solution.order, (), ImagePlane.of(given, image.shape), *rest)
    plane = ImagePlane.of(written.wcs, image.shape)
    return Found(method, written.form, written.order, _with_quality(written, solution), plane, *rest)


def _with_quality(written: Written, solution: Solution) -> tuple[Card, ...]:
    return (
        *written.cards,
        ("RADESYS", "ICRS", "frame of the solution"),
        ("EQUINOX", 2000.0, "[yr] equinox"),
        ("WCSNREF", solution.agreement.matched, "catalogue stars that match"),
        ("WCSRMS", round(solution.agreement.rms_arcsec, 6), "[arcsec] distance of those, per axis"),
    )
