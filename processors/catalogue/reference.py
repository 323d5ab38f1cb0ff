"""The reference catalogue of a reduction: where it lies, and which of its bands a filter answers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processors.catalogue.catalogue import Catalogue, cone_of, load_catalogue
from processors.catalogue.columns import CatalogueColumns


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference catalogue.

    Attributes
    ----------
    place : file or HEALPix directory (`catalogue.load_catalogue`)
    columns : which columns hold what, where their names do not say it
    bands : band of the catalogue for each filter; a filter that is not in it answers to the band of its own name
    move : stars are moved to the time of the image, where proper motions are known
    search_arcsec : how far the header's solution may be off
    """

    place: Path
    columns: CatalogueColumns | None = None
    bands: Mapping[str, str] = field(default_factory=dict)
    move: bool = True
    search_arcsec: float = 300.0

    def band(self, filter_name: str) -> str:
        """Band of the catalogue for a filter."""
        return self.bands.get(filter_name, filter_name)

    def around(self, cones: Sequence[tuple[float, float, float]], epoch: float | None) -> Catalogue:
        """Stars within any of some cones (RA, Dec, radius; degrees), and more between them (BadCatalogue)."""
        ra, dec, radius = cone_of(list(cones))
        return load_catalogue(self.place, (ra, dec), radius, self.columns, epoch if self.move else None)
