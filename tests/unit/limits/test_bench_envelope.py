"""The learned envelope on labelled data: the figures of docs/housekeeping.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench" / "envelope.py"


def test_the_documented_figures(shared_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick", "--json"], capture_output=True, text=True, timeout=120, check=True
    )
    table = {row["row"]: row for row in map(json.loads, done.stdout.splitlines())}
    default = table["envelope.default"]
    figures = [default[key] for key in ("ours", "precision", "recall", "episodes", "false_per_h", "peer")]
    assert figures == pytest.approx([0.779, 0.822, 0.740, 1.0, 2.6, 0.829], abs=0.05)
    assert table["envelope.long"]["false_per_h"] == 0
