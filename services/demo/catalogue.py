"""The stars of the simulated fields as a reference catalogue, which a site would have: for places and zero points."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from processors.simulator.camera import build_camera
from processors.simulator.expose import stars_about
from processors.simulator.options import NightOptions
from processors.simulator.plan import plan_night
from processors.simulator.sky import BANDS


def write_catalogue(options: NightOptions, path: Path) -> dict[str, Any]:
    """Write every star of the night's fields as CSV; what `work.catalogue` of the settings says of it."""
    camera = build_camera(options)
    targets = {planned.target for planned in plan_night(options) if planned.target is not None}
    columns = ("ra", "dec", *BANDS)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for target in sorted(targets, key=lambda target: target.field):
            stars = stars_about(camera, options, target)
            rows = zip(stars.ra, stars.dec, stars.magnitudes, strict=True)
            writer.writerows([ra, dec, *magnitudes] for ra, dec, magnitudes in rows)
    return {"place": str(path), "columns": {name: name for name in columns}}
