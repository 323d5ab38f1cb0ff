"""What the summit host loads must not drag in what only the centre has, nor what takes long to load."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["header", "instrument", "identity", "masters.associate"])
def test_headers_and_instruments_load_no_heavy_library(module: str) -> None:
    code = (
        f"import sys, processors.{module}\n"
        "heavy = {'numpy', 'numba', 'astropy', 'fitsio', 'PIL', 'scipy', 'sep'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_pixels_need_no_astropy_and_no_pillow() -> None:
    code = (
        "import sys, processors.check_frame, processors.masters.build, processors.reduction.frame, processors.preview\n"
        "sys.exit(' '.join(sorted({'astropy', 'PIL', 'fitsio'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
