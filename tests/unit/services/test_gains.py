"""Measured gains on their way from `characterise` to `reduce`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from services.cli.gains import read_gains


def record(value: float | None, error: float | None = 0.01, amplifier: str = "A", **more: Any) -> str:
    gain = {"name": "gain", "amplifier": amplifier, "value": value, "error": error}
    other = {"name": "read_noise", "amplifier": amplifier, "value": 5.0, "error": 0.1}
    return json.dumps({"instrument": "simcam", "detector": "1", "quantities": [other, gain], **more})


def test_the_least_uncertain_gain_of_an_amplifier_counts(tmp_path: Path) -> None:
    file = tmp_path / "gains"
    file.write_text("\n".join([record(4.0, 0.1), record(4.2, 0.02), record(4.4, None), record(3.9, amplifier="B"), ""]))
    assert read_gains(file) == {("simcam", "1"): {"A": 4.2, "B": 3.9}}


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", json.dumps({"instrument": "x", "detector": "1", "quantities": [1]}), record(None),
     record(-1.0), record("4"), '{"file": "a.fits", "error": "truncated"}', "\xff"],
)  # fmt: skip
def test_what_holds_no_gain_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "gains").write_text(text)
    with pytest.raises(click.UsageError, match="characterise ptc --json"):
        read_gains(tmp_path / "gains")
