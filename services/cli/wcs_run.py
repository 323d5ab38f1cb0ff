"""What `nightferry wcs` does with one file: records for people and programs; files are written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from processors.astrometry.agreement import Agreement, compare
from processors.astrometry.convert import convert_wcs
from processors.astrometry.epoch import epoch_of
from processors.astrometry.header_wcs import form_of, read_wcs
from processors.astrometry.images import SkyImage, find_stars_of, images_of
from processors.astrometry.plane import ImagePlane
from processors.astrometry.represent import Form
from processors.astrometry.rewrite import write_solutions
from processors.catalogue.catalogue import Catalogue
from processors.catalogue.reference import Reference
from processors.errors import BadFrame, NoSolution, ProcessorError
from processors.header import read_headers
from services.cli.common import exit_code_of, one_line
from services.cli.wcs_solve import Found, Search, solve

if TYPE_CHECKING:
    from processors.card_text import Card

Record = dict[str, Any]
_WAS: Final = ("offset_east_arcsec", "offset_north_arcsec", "rotation_deg", "scale", "rms_arcsec")


@dataclass(frozen=True, slots=True)
class Output:
    """Where a file goes: into a directory, or back to where it was; nowhere at all without either."""

    directory: Path | None
    in_place: bool
    overwrite: bool
    ignore_datasum: bool

    def target(self, source: Path) -> Path | None:
        """Path to write (NoSolution where that may not be)."""
        if self.in_place:
            with source.open("rb") as file:
                if file.read(2) == b"\x1f\x8b":
                    raise BadFrame("packed with gzip, and would be written unpacked: write it into another directory")
            return source
        if self.directory is None:
            return None
        target = self.directory / (source.name[:-3] if source.name.endswith(".gz") else source.name)
        if target.exists() and (not self.overwrite or target.samefile(source)):
            raise BadFrame(f"{target} is there already" + ("" if self.overwrite else "; --overwrite replaces it"))
        return target


def check_file(path: Path, sky: Reference, search_arcsec: float, max_rms_arcsec: float | None) -> list[Record]:
    """How the solution of each image of a file agrees with the catalogue."""
    try:
        headers = read_headers(path)
        images = [image for image in images_of(headers) if image.solved]
        if not images:
            return [_failed(path, None, NoSolution("no solution in any header"))]
        planes = [ImagePlane.of(_wcs_of(image.header), image.shape) for image in images]
        catalogue = sky.around([plane.cone(search_arcsec / 3600) for plane in planes], epoch_of(headers))
    except (BadFrame, OSError) as error:
        return [_failed(path, None, error)]
    records = []
    for image, plane in zip(images, planes, strict=True):
        try:
            near = catalogue.within(*plane.cone(search_arcsec / 3600))
            stars = find_stars_of(path, image)
            found = compare(plane.wcs, plane.shape, stars, near, search_arcsec / 3600 / plane.scale_deg)
        except ProcessorError as error:
            records.append(_failed(path, image, error))
            continue
        records.append(_checked(path, image, plane, found, max_rms_arcsec))
    return records


def fit_file(path: Path, search: Search, output: Output) -> list[Record]:
    """Fit the solution of each image of a file; the file is written when any image has a solution that holds."""
    try:
        headers = read_headers(path)
        target = output.target(path)
        images = images_of(headers)
    except (BadFrame, OSError) as error:
        return [_failed(path, None, error)]
    if not images:
        return [_failed(path, None, BadFrame("no image in it"))]
    records: list[Record] = []
    cards: dict[int, tuple[Card, ...]] = {}
    epoch = epoch_of(headers)
    catalogue = _catalogue(images, search, epoch)
    for image in images:
        try:
            cone = search.cone(image)
            near = None if catalogue is None or cone is None else catalogue.within(*cone)
            found = solve(image, find_stars_of(path, image), near, search, epoch)
        except ProcessorError as error:
            records.append(_failed(path, image, error))
            continue
        if found.cards:
            cards[image.header.index] = found.cards
        records.append(_fitted(path, image, found))
    solved = any("error" not in record for record in records)
    return _write(path, target if solved else None, cards, records, output.ignore_datasum)


def convert_file(path: Path, form: Form, tolerance_px: float, output: Output) -> list[Record]:
    """Write the solutions of a file in another form: all of them, or nothing."""
    try:
        target = output.target(path)
        images = [image for image in images_of(read_headers(path)) if image.solved]
        if not images:
            return [_failed(path, None, NoSolution("no solution in any header"))]
    except (BadFrame, OSError) as error:
        return [_failed(path, None, error)]
    records: list[Record] = []
    cards: dict[int, tuple[Card, ...]] = {}
    for image in images:
        try:
            was = form_of(image.header)
            written = convert_wcs(_wcs_of(image.header), image.shape, form, tolerance_px)
        except (BadFrame, NoSolution) as error:
            records.append(_failed(path, image, error))
            continue
        cards[image.header.index] = written.cards
        record = {"from": was, "form": written.form, "order": written.order, "residual_px": written.residual_px}
        records.append(_named(path, image) | record)
    whole = all("error" not in record for record in records)
    return _write(path, target if whole else None, cards, records, output.ignore_datasum)


def _catalogue(images: Sequence[SkyImage], search: Search, epoch: float | None) -> Catalogue | None:
    """Stars around all images whose place is known or guessed; None without a catalogue or such an image."""
    cones = [cone for cone in map(search.cone, images) if cone is not None]
    return search.sky.around(cones, epoch) if search.sky is not None and cones else None


def _write(
    path: Path,
    target: Path | None,
    cards: Mapping[int, Sequence[Card]],
    records: list[Record],
    ignore_datasum: bool,
) -> list[Record]:
    if target is None or (target == path and not cards):
        return records
    try:
        write_solutions(path, target, cards, ignore_datasum)
    except (BadFrame, OSError) as error:
        hint = "; --ignore-datasum passes them on" if "DATASUM" in str(error) else ""
        return [*records, _failed(path, None, BadFrame(f"{one_line(error)}{hint}; nothing was written"))]
    return [record if "error" in record else record | {"output": str(target)} for record in records]


def _wcs_of(header: Any) -> Any:
    wcs = read_wcs(header)
    if wcs is None:
        raise BadFrame(f"HDU {header.index}: no solution in the header")
    return wcs


def _named(path: Path, image: SkyImage) -> Record:
    return {"file": str(path), "hdu": image.header.index, "extname": image.name}


def _failed(path: Path, image: SkyImage | None, error: Exception) -> Record:
    where = {"file": str(path)} if image is None else _named(path, image)
    code = 4 if isinstance(error, OSError) else exit_code_of(error)  # as of every verb: a file that cannot be used
    return where | {"error": one_line(error), "exit_code": code}


def _where(plane: ImagePlane) -> Record:
    return {
        "ra_deg": plane.tangent.ra_deg,
        "dec_deg": plane.tangent.dec_deg,
        "scale_arcsec": plane.scale_deg * 3600,
    }


def _measured(found: Agreement) -> Record:
    return {
        "stars": found.stars,
        "references": found.references,
        "matched": found.matched,
        "offset_east_arcsec": found.offset_arcsec[0],
        "offset_north_arcsec": found.offset_arcsec[1],
        "rotation_deg": found.rotation_deg,
        "scale": found.scale,
        "rms_arcsec": found.rms_arcsec,
        "rms_px": found.rms_px,
        "aligned_rms_arcsec": found.best_rms_arcsec,
    }


def _why(found: Found) -> str:
    """Why it is this solution."""
    if not found.cards:
        return f"{found.method}: stays, a fit to the catalogue predicts left-out stars no better"
    if found.agreement is None or found.predicted_rms_arcsec is None:
        return f"{found.method}: the only way that led to a solution"
    return (
        f"{found.method}: degree {found.order} predicts left-out stars best, within {found.predicted_rms_arcsec:.3g} "
        f"arcsec; {found.agreement.matched} of {found.agreement.stars} stars match"
    )


def _checked(path: Path, image: SkyImage, plane: ImagePlane, found: Agreement, max_rms_arcsec: float | None) -> Record:
    verdict, message = "ok", ""
    if not found.references:
        verdict, message = "error", "no stars of the catalogue on the image"
    elif not found.sure:
        verdict, message = "error", f"the {found.matched} pairs may be chance"
    elif max_rms_arcsec is not None and not found.rms_arcsec <= max_rms_arcsec:
        verdict, message = "error", f"rms {found.rms_arcsec:.3g} arcsec, {max_rms_arcsec:g} allowed"
    record = _named(path, image) | {"form": form_of(image.header)} | _where(plane) | _measured(found)
    return record | {"verdict": verdict, "message": message}


def _fitted(path: Path, image: SkyImage, found: Found) -> Record:
    record = _named(path, image) | {
        "method": found.method,
        "kept": not found.cards,
        "form": found.form,
        "order": found.order,
        "predicted_rms_arcsec": found.predicted_rms_arcsec,
        "explain": [*found.tried, _why(found)],
    }
    record |= _where(found.plane)
    if found.agreement is None:
        return record
    measured = {key: value for key, value in _measured(found.agreement).items() if not key.startswith("offset")}
    if found.given is None or not found.given.sure:
        return record | measured
    was = _measured(found.given)
    return record | measured | {f"was_{key}": was[key] for key in _WAS}
