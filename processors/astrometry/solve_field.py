"""Ask astrometry.net's `solve-field` where an image is, from its stars alone (Lang et al. 2010, AJ 139, 1782)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.stars import Stars
from processors.errors import BadFrame, NoSolution
from processors.header import read_headers

if TYPE_CHECKING:
    from astropy.wcs import WCS

_LIST: Final = "stars.xyls"
_CONFIG: Final = "engine.cfg"
_MOST_STARS: Final = 1000


def solve_field(
    program: Path | str,
    stars: Stars,
    shape: tuple[int, int],
    index_dir: Path,
    scratch: Path,
    *,
    scale_arcsec: tuple[float, float] | None = None,
    seconds: float = 60.0,
) -> WCS:
    """Solve an image with local index files; it gets our list of stars and never the image.

    Parameters
    ----------
    program : path
        The `solve-field` to run.
    index_dir : path
        Directory of its index files; nothing is fetched.
    scratch : path
        An empty directory for its files, which the caller removes.
    scale_arcsec : (float, float), optional
        Lowest and highest arcsec per pixel; without it any scale that the index files have is tried.
    seconds : float
        After which it is stopped, with all that it started.

    Raises
    ------
    NoSolution
        It found none, failed, could not be started, or was stopped.
    """
    if not any(index_dir.glob("*.fits")):
        raise NoSolution(f"solve-field: no index files (*.fits) in {index_dir}")
    _write_list(scratch / _LIST, stars)
    (scratch / _CONFIG).write_text(f"add_path {index_dir.resolve()}\nautoindex\ncpulimit {max(1, round(seconds))}\n")
    said = _run(command(program, shape, scale_arcsec), scratch, seconds)
    try:
        wcs = read_wcs(read_headers(scratch / "stars.wcs")[0])
    except FileNotFoundError:
        raise NoSolution(f"solve-field found no solution for {len(stars)} stars{_why(said)}") from None
    except (BadFrame, OSError) as error:
        raise NoSolution(f"solve-field wrote a solution that cannot be read: {error}") from error
    if wcs is None:
        raise NoSolution("solve-field wrote a header without a solution")
    return wcs


def command(
    program: Path | str,
    shape: tuple[int, int],
    scale_arcsec: tuple[float, float] | None,
) -> list[str]:
    """The command line, to be run where the list of stars lies."""
    words = [str(program), _LIST, "--width", str(shape[1]), "--height", str(shape[0])]
    words += ["--x-column", "X", "--y-column", "Y", "--sort-column", "FLUX", "--config", _CONFIG]
    words += ["--overwrite", "--no-plots", "--crpix-center", "--temp-dir", ".", "--wcs", "stars.wcs"]
    words += ["--new-fits", "none"]
    for option in ("--index-xyls", "--match", "--rdls", "--corr", "--solved"):
        words += [option, "none"]
    if scale_arcsec is not None:
        words += ["--scale-units", "arcsecperpix"]
        words += ["--scale-low", f"{scale_arcsec[0]:.6g}", "--scale-high", f"{scale_arcsec[1]:.6g}"]
    return words


def _write_list(path: Path, stars: Stars) -> None:
    import fitsio

    table = np.empty(min(len(stars), _MOST_STARS), [("X", "f8"), ("Y", "f8"), ("FLUX", "f4")])
    table["X"], table["Y"] = stars.x[:_MOST_STARS] + 1, stars.y[:_MOST_STARS] + 1
    table["FLUX"] = stars.flux[:_MOST_STARS]
    fitsio.write(str(path), table)


def _run(words: Sequence[str], scratch: Path, seconds: float) -> str:
    """What the program said; its whole process group is killed when time is up."""
    try:
        process = subprocess.Popen(
            words,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise NoSolution(f"{words[0]} cannot be started: {error.strerror}") from error
    with process:
        try:
            said = process.communicate(timeout=seconds)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired as error:
            raise NoSolution(f"solve-field found nothing within {seconds:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise NoSolution(f"solve-field ended with {process.returncode}{_why(said)}")
    return said


def _why(said: str) -> str:
    """The line that tells a person most: the last with an error in it, else nothing."""
    lines = [line.strip() for line in said.splitlines() if "error" in line.lower() or "failed" in line.lower()]
    return f": {lines[-1][:200]}" if lines else ""
