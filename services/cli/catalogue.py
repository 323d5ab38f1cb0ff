"""Options of every verb that takes a reference catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from processors.catalogue.reference import Reference


def catalogue_options(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that say where reference stars come from."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--no-motion", is_flag=True, help="Leave stars where the catalogue has them, without proper motion."
        )(function)
        function = click.option(
            "--columns", metavar="KEY=COLUMN,...",
            help="All columns that count, where they have no common names (such as gmag, phot_g_mean_mag): "
            "ra=…,dec=…,g=…,e_g=…,pm_ra=…,pm_dec=…,epoch=….",
        )(function)  # fmt: skip
        return click.option(
            "--catalogue", required=required, metavar="PLACE", type=click.Path(path_type=Path, exists=True),
            help="Reference stars: FITS table, CSV, or a directory of HEALPix files.",
        )(function)  # fmt: skip

    return add


def reference_of(
    catalogue: Path | None, columns: str | None, no_motion: bool, bands: Sequence[str] = ()
) -> Reference | None:
    """The catalogue that the options name, if they do."""
    from processors.catalogue.columns import parse_columns
    from processors.catalogue.reference import Reference

    if catalogue is None:
        if columns is not None or bands:
            raise click.UsageError("--columns and --band are about a --catalogue, and none is given")
        return None
    pairs = [text.partition("=") for text in bands]
    if wrong := [text for text, pair in zip(bands, pairs, strict=True) if not (pair[0] and pair[2])]:
        raise click.UsageError(f"--band is FILTER=BAND, such as R=rp, not {wrong[0]!r}")
    answering = {name: band for name, _, band in pairs}
    return Reference(catalogue, None if columns is None else parse_columns(columns), answering, move=not no_motion)
