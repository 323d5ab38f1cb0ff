"""Files to send: incompressible ones of a given size, and DECam-like frames."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CHUNK = 1 << 22


def random_files(directory: Path, count: int, megabytes: float) -> float:
    """Write files that no compression makes smaller; megabytes (10^6 bytes) of them all."""
    directory.mkdir(parents=True)
    for number in range(count):
        with (directory / f"frame{number:04d}.fits").open("wb") as file:
            left = round(megabytes * 1e6)
            while left > 0:
                file.write(os.urandom(min(CHUNK, left)))
                left -= CHUNK
    return count * round(megabytes * 1e6) / 1e6


def decam_frames(directory: Path, count: int, detectors: int) -> float:
    """Write DECam-like mosaic frames of noise like the camera's; megabytes of them all."""
    from rig.decam import make_frame

    directory.mkdir(parents=True)
    first = directory / "frame0000.fits"
    make_frame(first, detectors)
    for number in range(1, count):
        shutil.copyfile(first, directory / f"frame{number:04d}.fits")
    return count * first.stat().st_size / 1e6


def simcam_frames(directory: Path, count: int, width: int, height: int) -> list[Path]:
    """Frames of simcam, every one different."""
    from processors.simulator.night import simulate_night
    from processors.simulator.options import NightOptions

    night = NightOptions(
        seed=5, detectors=1, width=width, height=height, biases=count, darks=0, flats=0, standards=0, dithers=0,
        targets=0, filters=("g",), hk=False,
    )  # fmt: skip
    return [frame.path for frame in simulate_night(directory, night)]
