"""Nights on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click


class Night(click.ParamType):
    """A night, named after the date of its evening: YYYYMMDD, or with dashes."""

    name = "NIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The night as YYYYMMDD."""
        text = str(value)
        for form, length in (("%Y%m%d", 8), ("%Y-%m-%d", 10)):
            try:
                if len(text) == length:
                    return datetime.strptime(text, form).strftime("%Y%m%d")
            except ValueError:
                continue
        self.fail(f"a night is YYYYMMDD, got {text!r}", param, ctx)
