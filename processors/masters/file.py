"""A master on disk: its header as an object, its planes when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.card_text import Card
from processors.cards import Header, Value
from processors.errors import BadFrame, NoCalibration
from processors.fits import Pixels, read_image, sha256_of
from processors.header import read_headers
from processors.identity import text_of
from processors.masters.ref import CalibrationKey, MasterRef
from processors.night import iso, parse_time
from processors.provenance import InputRef, Rejection

F4 = NDArray[np.float32]
MasterKind = Literal["bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix"]
MASTER_KINDS: Final[tuple[MasterKind, ...]] = ("bias", "dark", "flat", "skyflat", "superflat", "fringe", "badpix")
_PLANES: Final = ("-VALUE", "-MASK")
_KEY_CARDS: Final = (
    ("instrument", "NFINST", "instrument"),
    ("night", "NFNIGHT", "night of the observation"),
    ("readout", "NFREAD", "readout"),
    ("filter", "NFFILT", "filter"),
    ("mode", "NFMODE", "imaging or spectroscopy"),
    ("slit", "NFSLIT", "slit"),
    ("detector", "NFDET", "detector, empty for all of a mosaic"),
)


@dataclass(frozen=True, slots=True)
class Master:
    """A master on disk. Planes are read detector by detector when asked for.

    `exptime_s` is the exposure time of its inputs (0 where they differ or it says nothing), `temperature_c` their
    detector's temperature, None where nobody knows.
    """

    path: Path
    key: CalibrationKey
    date_obs: str
    sha256: str
    inputs: tuple[InputRef, ...]
    rejected: tuple[Rejection, ...]
    hdus: Mapping[str, Header]
    exptime_s: float = 0.0
    temperature_c: float | None = None

    @property
    def detectors(self) -> tuple[str, ...]:
        """Detectors that the master covers."""
        return tuple(name.removesuffix(end) for name in self.hdus for end in _PLANES if name.endswith(end))

    @property
    def ref(self) -> MasterRef:
        """What `matching_masters` chooses from."""
        return MasterRef(self.key, self.date_obs, str(self.path), self.sha256, temperature_c=self.temperature_c)

    def plane(self, detector: str, name: Literal["VALUE", "VAR", "COUNT"] = "VALUE") -> F4:
        """A plane of a detector, float32: value (see `masters.build_master` for units), its variance, inputs kept.

        Raises
        ------
        NoCalibration
            The master has no such detector.
        BadFrame
            The plane cannot be read.
        """
        return np.asarray(self._image(detector, name), np.float32)

    def mask(self, detector: str) -> NDArray[np.uint16]:
        """The MASK plane of a detector in a bad-pixel master, bits of `planes.Mask`; errors as of `plane`."""
        return np.asarray(self._image(detector, "MASK"), np.uint16)

    def _image(self, detector: str, name: str) -> Pixels:
        header = self.hdus.get(f"{detector}-{name}")
        if header is None:
            raise NoCalibration(f"{self.path.name} has no detector {detector}")
        return read_image(self.path, header)


def read_master(path: Path | str, sha256: str | None = None) -> Master:
    """Open a master that was built by us (BadFrame when it is none).

    `sha256` spares reading the file to compute it.
    """
    path = Path(path)
    headers = read_headers(path)
    primary = headers[0]
    if primary.get("NFKIND") not in MASTER_KINDS:
        raise BadFrame(f"{path.name} is no master")
    text = {name: text_of(primary.get(name)) for name in primary}
    key = CalibrationKey(
        kind=text["NFKIND"],  # type: ignore[arg-type]
        **{field: text.get(keyword, "") for field, keyword, _ in _KEY_CARDS},
    )
    count = primary.get("NFNINP")
    try:
        inputs = tuple(
            InputRef(text[f"NF IN{n} NAME"], text[f"NF IN{n} SHA256"], text[f"NF IN{n} ROLE"])
            for n in range(1, (count if isinstance(count, int) else 0) + 1)
        )
    except KeyError as error:
        raise BadFrame(f"{path.name} does not say all that it was made from: no card {error.args[0]}") from error
    rejected: list[Rejection] = []
    while (name := text.get(f"NF REJ{len(rejected) + 1} NAME")) is not None:
        rejected.append(Rejection(name, text.get(f"NF REJ{len(rejected) + 1} WHY", "")))
    return Master(
        path,
        key,
        _time(path, text.get("NFDATE", "")),
        sha256 or sha256_of(path),
        inputs,
        tuple(rejected),
        {text_of(header.get("EXTNAME")): header for header in headers[1:]},
        _number(primary.get("NFEXPT")) or 0.0,
        _number(primary.get("NFTEMP")),
    )


def key_cards(key: CalibrationKey, date_obs: str) -> list[Card]:
    """Cards that say of what and when a master is; `read_master` reads them."""
    cards: list[Card] = [(keyword, getattr(key, field), comment) for field, keyword, comment in _KEY_CARDS]
    return [*cards, ("NFDATE", date_obs, "middle of the inputs, UTC")]


def _time(path: Path, text: str) -> str:
    """The middle of the inputs in our own form; without one nobody could say how near the master is."""
    try:
        return iso(parse_time(text, "iso"))
    except BadFrame as error:
        raise BadFrame(f"{path.name}: NFDATE: {error}") from error


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)
