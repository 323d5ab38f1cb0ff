"""Options of `nightferry characterise`: those that every kind has, and those made of a kind's own dataclass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args

import click

Limits = tuple[tuple[str, tuple[float | None, float | None]], ...]


class LimitType(click.ParamType):
    """NAME=LOW:HIGH, either end may be empty."""

    name = "NAME=LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name and its range."""
        if not isinstance(value, str):
            return value
        name, equals, span = value.partition("=")
        low, colon, high = span.partition(":")
        try:
            limits = tuple(float(end) if end else None for end in (low, high))
        except ValueError:
            limits = (math.nan,)
        ends = [end for end in limits if end is not None]
        if not (name and equals and colon and ends) or any(math.isnan(end) for end in ends) or ends != sorted(ends):
            self.fail(f"{value!r} is not NAME=LOW:HIGH, say read_noise=2:8 or dark_current=:10", param, ctx)
        return name, limits


class RuleType(click.ParamType):
    """PATTERN=OBSTYPE."""

    name = "PATTERN=OBSTYPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The pattern and the obstype."""
        from processors.instrument_schema import Obstype

        if not isinstance(value, str):
            return value
        pattern, _, obstype = value.rpartition("=")
        if not pattern or obstype not in get_args(Obstype):
            self.fail(f"{value!r} is not PATTERN=OBSTYPE, obstypes are {', '.join(get_args(Obstype))}", param, ctx)
        return pattern, obstype


limit_option = click.option(
    "--limit",
    "limits",
    multiple=True,
    type=LimitType(),
    help="Flag a quantity outside this range instead of the instrument file's; may be given several times.",
)
rule_option = click.option(
    "--as",
    "rules",
    multiple=True,
    type=RuleType(),
    help="Take files of this name for frames of this obstype, whatever their headers say; the last that fits counts.",
)


def options_of(options: type, hints: Mapping[str, type]) -> list[click.Parameter]:
    """An option for each field of a kind's dataclass, with the field's default, and the help in its metadata."""
    made: list[click.Parameter] = []
    for each in fields(options):
        assert each.default is not MISSING
        flag = hints[each.name] is bool
        shown = not flag and each.default not in ("", math.inf)
        name = f"--{each.name.replace('_', '-')}"
        made.append(
            click.Option(
                [name, each.name],
                is_flag=flag,
                type=None if flag else hints[each.name],
                default=each.default,
                show_default=shown,
                help=each.metadata["help"],
            )
        )
    return made
