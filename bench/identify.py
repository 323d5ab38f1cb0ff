"""Row `identify.astropy`: identities of frames per second, by our header reader and by astropy's.

Both read the same files, alternately, and hand the same headers' values to the same rules; astropy as a pipeline would
use it: open the file, take the headers of all HDUs. The files are DECam-like mosaics (a primary header of 180 cards and
62 extensions of 110), and single frames of 420 cards, sparse so that only headers take space.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.command import parser

from processors.cards import Header
from processors.header import read_headers
from processors.instrument import Instruments, load_instruments

ROUNDS, QUICK_ROUNDS = 15, 5


def cards(extra: int, **values: object) -> bytes:
    """A header with these values and as many more cards as a camera writes."""
    lines = [f"{key.replace('_', '-'):<8}= {_value(value):>20} / as the camera says" for key, value in values.items()]
    lines += [f"TEL{number:05}= {number * 1.25:>20} / [unit] telemetry of some part" for number in range(extra)]
    text = "".join(f"{line:<80}"[:80] for line in [*lines, "END"])
    return (text + " " * (-len(text) % 2880)).encode("ascii")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return f"'{value:<8}'" if isinstance(value, str) else str(value)


def write_frame(path: Path, detectors: int) -> None:
    """A DECam-like frame: its pixels are a hole in the file."""
    primary = {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "INSTRUME": "DECam", "EXPNUM": 229350, "EXPTIME": 90.0,
        "DATE_OBS": "2013-09-01T04:41:51.123", "OBSTYPE": "object", "FILTER": "g DECam SDSS c0001 4720.0 1520.0",
        "OBJECT": "DES survey hex", "PROPID": "2012B-0001",
    }  # fmt: skip
    with path.open("wb") as file:
        file.write(cards(170 if detectors > 1 else 400, **primary))
        for number in range(1, detectors + 1):
            extension = {"XTENSION": "IMAGE", "BITPIX": 16, "NAXIS": 2, "NAXIS1": 2160, "NAXIS2": 4146, "PCOUNT": 0}
            file.write(cards(100, **extension, GCOUNT=1, CCDNUM=number))
            size = 2160 * 4146 * 2
            file.seek(size + -size % 2880, 1)
        file.truncate(file.tell())


def ours(paths: Sequence[Path], instruments: Instruments) -> None:
    """Identities by our reader."""
    for path in paths:
        instruments.identify(read_headers(path), path.name)


def theirs(paths: Sequence[Path], instruments: Instruments) -> None:
    """Identities by astropy's headers."""
    from astropy.io import fits

    for path in paths:
        with fits.open(path, disable_image_compression=True) as hdus:
            needed = ("CCDNUM", "NAXIS", "XTENSION")
            extensions = [Header.of({k: h.header[k] for k in needed if k in h.header}, n) for n, h in enumerate(hdus)]
            primary = Header.of(dict(hdus[0].header.items()))
        instruments.identify((primary, *extensions[1:]), path.name)


def seconds(
    function: Callable[[Sequence[Path], Instruments], None], paths: Sequence[Path], known: Instruments
) -> float:
    """Time of one run."""
    start = time.perf_counter()
    function(paths, known)
    return time.perf_counter() - start


def measure(row: str, paths: Sequence[Path], known: Instruments, rounds: int) -> dict[str, object]:
    """Medians of alternate runs, files per second."""
    seconds(ours, paths, known), seconds(theirs, paths, known)
    pairs = [(seconds(ours, paths, known), seconds(theirs, paths, known)) for _ in range(rounds)]
    mine, peer = ([len(paths) / pair[side] for pair in pairs] for side in (0, 1))
    ratios = [their / our for our, their in pairs]
    return {
        "row": row,
        "ours": round(statistics.median(mine), 1),
        "peer": round(statistics.median(peer), 1),
        "peer_name": "astropy.io.fits",
        "unit": "files/s",
        "ratio": round(statistics.median(ratios), 2),
        "spread": [round(min(ratios), 2), round(max(ratios), 2)],
        "rounds": rounds,
    }


def main() -> None:
    """Run the rows and print one object each."""
    arguments = parser(__doc__, "fewer rounds, within 45 s").parse_args()
    warnings.simplefilter("ignore")
    known = load_instruments()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    with tempfile.TemporaryDirectory() as directory:
        for row, detectors, number in (("identify.astropy", 62, 8), ("identify.astropy.single", 1, 60)):
            paths = [Path(directory) / f"{row}{n}.fits" for n in range(number)]
            for path in paths:
                write_frame(path, detectors)
            result = measure(row, paths, known, rounds)
            print(
                json.dumps(result) if arguments.json else "  ".join(f"{key} {value}" for key, value in result.items())
            )


if __name__ == "__main__":
    main()
