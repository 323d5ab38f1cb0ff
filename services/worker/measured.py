"""What a reduction is asked to measure by the settings, and what it measured, on its way to the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from processors.catalogue.columns import parse_columns
from processors.catalogue.reference import Reference
from processors.fits import Frame
from processors.reduction.inspect import Steps
from processors.reduction.measures import FIGURES, Measures
from services.core.metrics.delay import observed_ns
from services.core.metrics.spool import Point
from services.core.metrics.whole import whole
from services.core.settings import WorkSettings
from services.worker.tasks import tags_of


def steps_of(work: WorkSettings) -> Steps:
    """Steps of a reduction as the settings have them."""
    return Steps(cosmics=work.cosmics, quality=work.quality)


def reference_of(work: WorkSettings) -> Reference | None:
    """The reference catalogue of the settings, if they have one (BadCatalogue for columns that make no sense)."""
    given = work.catalogue
    if given is None:
        return None
    columns = ",".join(f"{key}={column}" for key, column in given.columns.items())
    return Reference(
        given.place, parse_columns(columns) if columns else None, given.bands, search_arcsec=given.search_arcsec
    )


def measure_points(measures: Sequence[Measures], frame: Frame, production: str) -> list[Point]:
    """A point of measurement `reduced` for every detector, at the time of the observation.

    What is known is in it, and the names of what is not: an earlier reduction of the frame may have known it.
    """
    time_ns = observed_ns(frame.identity.date_obs)
    points = []
    for each in measures:
        tags = {**tags_of(frame), "production": production, "detector": each.detector}
        fields = {**each.numbers(), "expid": frame.identity.expid}
        points.append(Point("reduced", whole(fields, FIGURES), tags, time_ns))
    return points
