"""Pixels that no camera writes: NaN, infinities, or one value everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from processors.checks.result import CheckResult, Verdict
from processors.checks.view import DetectorView


def check_bad_values(view: DetectorView) -> Iterator[CheckResult]:
    """Fraction of the data that is NaN or infinite: any is an error; so is one value everywhere."""
    for amplifier in view.setup.amplifiers:
        data = view.data(amplifier)
        bad = 0 if data.dtype.kind in "ui" else int(np.count_nonzero(~np.isfinite(data)))
        dead = bool((data == data[0, 0]).all()) if data[0, 0] == data[0, -1] else False
        verdict: Verdict = "error" if bad or dead else "ok"
        message = f"{bad} pixels are NaN or infinite" if bad else "every pixel has the same value" if dead else ""
        yield CheckResult(
            str(view.frame.path), "bad_values", view.setup.detector, amplifier.name, bad / data.size, "fraction",
            verdict, "POORQUALDATA" if verdict == "error" else "", None, message,
        )  # fmt: skip
