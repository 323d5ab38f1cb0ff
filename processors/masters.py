"""Master bias and flat: which inputs, how scaled, how combined, what is written."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.associate import CalibrationKey, MasterRef, calibration_key
from processors.card_text import Card
from processors.cards import Header
from processors.combine import Combined, combine
from processors.errors import BadFrame, NoCalibration
from processors.fits import Frame, ProductHDU, read_image, sha256_of, write_product
from processors.geometry import DetectorSetup
from processors.header import read_headers
from processors.identity import text_of
from processors.isr import Calibrated, remove_signature
from processors.master_inputs import Level, choose_inputs, measure_level
from processors.night import iso
from processors.planes import Mask
from processors.provenance import InputRef, Rejection, provenance_cards

F4 = NDArray[np.float32]
MasterKind = Literal["bias", "flat", "skyflat"]
_ALL_IN_MEMORY: Final = 256e6  # bytes of calibrated images; beyond it they wait in scratch files


@dataclass(frozen=True, slots=True)
class Master:
    """A master on disk. Planes are read detector by detector when asked for."""

    path: Path
    key: CalibrationKey
    date_obs: str
    sha256: str
    inputs: tuple[InputRef, ...]
    rejected: tuple[Rejection, ...]
    hdus: Mapping[str, Header]

    @property
    def detectors(self) -> tuple[str, ...]:
        """Detectors that the master covers."""
        return tuple(name.removesuffix("-VALUE") for name in self.hdus if name.endswith("-VALUE"))

    @property
    def ref(self) -> MasterRef:
        """What `matching_masters` chooses from."""
        return MasterRef(self.key, self.date_obs, str(self.path), self.sha256)

    def plane(self, detector: str, name: Literal["VALUE", "VAR", "COUNT"] = "VALUE") -> F4:
        """A plane of a detector, float32: value (ADU above the overscan; flat: 1 on average), variance, inputs."""
        header = self.hdus.get(f"{detector}-{name}")
        if header is None:
            raise NoCalibration(f"{self.path.name} has no detector {detector}")
        return np.asarray(read_image(self.path, header), np.float32)


def build_master(
    kind: MasterKind,
    frames: Sequence[Frame],
    path: Path | str,
    bias: Master | None = None,
    *,
    software: str = "nightferry",
    hashes: Mapping[Path, str] | None = None,
    scratch: Path | None = None,
) -> Master:
    """Combine calibration frames of one key into a master and write it to `path`.

    Biases are overscan-subtracted, trimmed and averaged, in ADU. Flats are reduced to electrons with `bias` (without
    one the overscan alone is subtracted), divided by their exposure's level and averaged: detectors of one file keep
    their relative sensitivity. Values outside 3 σ are rejected per pixel, saturated ones do not count.
    Inputs with a wrong level, too much saturation or too little light are left out, with the reason in the product.
    Planes per detector: VALUE, VAR, COUNT.

    Parameters
    ----------
    hashes : sha256 of the frames' bytes by path, where known; others are computed
    scratch : directory for calibrated images that do not fit into 256 MB; by default the system's for temporary files

    Raises
    ------
    BadFrame
        The frames do not belong together or cannot be read.
    NoCalibration
        No usable input is left.
    """
    path = Path(path)
    key = _common_key(kind, frames)
    levels = [measure_level(frame, kind) for frame in frames]
    chosen, rejected = choose_inputs(kind, levels)
    if not chosen:
        why = "; ".join(f"{r.name}: {r.reason}" for r in rejected)
        raise NoCalibration(f"no usable input for a master {kind} ({why})")
    used = [frames[number] for number in chosen]
    kept_levels = [levels[number] for number in chosen]
    known = hashes or {}
    inputs = [InputRef(frame.path.name, known.get(frame.path) or sha256_of(frame.path)) for frame in used]
    if bias is not None:
        inputs.append(InputRef(bias.path.name, bias.sha256, "bias"))
    cards = [*_key_cards(key, _middle(used)), *provenance_cards(kind, software, inputs, rejected)]
    cards.append(("NFLEVEL", float(np.median([level.median for level in kept_levels])), "median level of the inputs"))
    write_product(path, cards, _planes(kind, used, kept_levels, bias, scratch))
    return read_master(path)


def read_master(path: Path | str, sha256: str | None = None) -> Master:
    """Open a master that `build_master` wrote (BadFrame when it is none).

    `sha256` spares reading the file to compute it.
    """
    path = Path(path)
    headers = read_headers(path)
    primary = headers[0]
    if primary.get("NFKIND") not in {"bias", "flat", "skyflat"}:
        raise BadFrame(f"{path.name} is no master")
    text = {name: text_of(primary.get(name)) for name in primary}
    key = CalibrationKey(
        kind=text["NFKIND"],  # type: ignore[arg-type]
        instrument=text.get("NFINST", ""),
        night=text.get("NFNIGHT", ""),
        readout=text.get("NFREAD", ""),
        filter=text.get("NFFILT", ""),
        mode=text.get("NFMODE", ""),
        slit=text.get("NFSLIT", ""),
        detector=text.get("NFDET", ""),
    )
    count = primary.get("NFNINP")
    inputs = tuple(
        InputRef(text[f"NF IN{n} NAME"], text[f"NF IN{n} SHA256"], text[f"NF IN{n} ROLE"])
        for n in range(1, (count if isinstance(count, int) else 0) + 1)
    )
    rejected: list[Rejection] = []
    while (name := text.get(f"NF REJ{len(rejected) + 1} NAME")) is not None:
        rejected.append(Rejection(name, text.get(f"NF REJ{len(rejected) + 1} WHY", "")))
    hdus = {text_of(header.get("EXTNAME")): header for header in headers[1:]}
    return Master(path, key, text.get("NFDATE", ""), sha256 or sha256_of(path), inputs, tuple(rejected), hdus)


def _common_key(kind: MasterKind, frames: Sequence[Frame]) -> CalibrationKey:
    keys = {calibration_key(frame.identity) for frame in frames}
    key = next(iter(keys), None)
    if len(keys) != 1 or key is None or key.kind != kind:
        raise BadFrame(f"the frames are not those of one master {kind}")
    return key


def _key_cards(key: CalibrationKey, date_obs: str) -> list[Card]:
    return [
        ("NFINST", key.instrument, "instrument"),
        ("NFNIGHT", key.night, "night of the observation"),
        ("NFREAD", key.readout, "readout"),
        ("NFFILT", key.filter, "filter"),
        ("NFMODE", key.mode, "imaging or spectroscopy"),
        ("NFSLIT", key.slit, "slit"),
        ("NFDET", key.detector, "detector, empty for all of a mosaic"),
        ("NFDATE", date_obs, "middle of the inputs, UTC"),
    ]


def _middle(frames: Sequence[Frame]) -> str:
    times = sorted(dt.datetime.fromisoformat(frame.identity.date_obs) for frame in frames)
    return iso(times[0] + (times[-1] - times[0]) / 2)


def _planes(
    kind: MasterKind, frames: Sequence[Frame], levels: Sequence[Level], bias: Master | None, scratch: Path | None
) -> Iterator[ProductHDU]:
    unit = "adu" if kind == "bias" else ""
    with tempfile.TemporaryDirectory(prefix="nightferry-", dir=scratch) as directory:
        for setup in frames[0].setups:
            bias_plane = None if bias is None else bias.plane(setup.detector)
            images = [
                _spooled(_calibrated(kind, frame, setup.detector, level, bias_plane), len(frames), directory, number)
                for number, (frame, level) in enumerate(zip(frames, levels, strict=True))
                if any(other.detector == setup.detector for other in frame.setups)
            ]
            made = combine(images, noise=_noise(kind, setup, levels))
            images.clear()
            yield from _extensions(setup.detector, made, unit)


def _extensions(detector: str, made: Combined, unit: str) -> Iterator[ProductHDU]:
    cards: tuple[Card, ...] = (("BUNIT", unit, ""), ("NFDET", detector, "detector"))
    yield ProductHDU(f"{detector}-VALUE", made.value, cards)
    yield ProductHDU(f"{detector}-VAR", made.variance, cards[1:])
    yield ProductHDU(f"{detector}-COUNT", made.count, cards[1:])


def _calibrated(kind: MasterKind, frame: Frame, detector: str, level: Level, bias: F4 | None) -> F4:
    setup = next(setup for setup in frame.setups if setup.detector == detector)
    made: Calibrated = remove_signature(frame.image(setup), setup, bias)
    image = made.sci
    if kind == "bias":
        for amplifier in setup.amplifiers:
            image[amplifier.trimmed.slices] /= np.float32(amplifier.gain_e_adu)
    else:
        image /= np.float32(level.median)
    image[(made.mask & np.uint16(Mask.SATURATED | Mask.NOT_A_NUMBER)) != 0] = np.nan
    return image


def _spooled(image: F4, images: int, directory: str, number: int) -> F4:
    """The image itself, or a memory map of its copy in a scratch file when all of them are too much for the memory."""
    if image.nbytes * images <= _ALL_IN_MEMORY:
        return image
    path = Path(directory) / f"{number}.npy"
    np.save(path, image)
    mapped: F4 = np.load(path, mmap_mode="r")
    return mapped


def _noise(kind: MasterKind, setup: DetectorSetup, levels: Sequence[Level]) -> tuple[float, float]:
    """Variance expected of an input at zero signal and per unit of signal, in the units that are combined."""
    noisiest = max(amplifier.read_noise_e / amplifier.gain_e_adu for amplifier in setup.amplifiers)
    if kind == "bias":
        return noisiest**2, 0.0
    faintest = min(level.median for level in levels)
    read_noise_e = max(amplifier.read_noise_e for amplifier in setup.amplifiers)
    return (read_noise_e / faintest) ** 2, 1.0 / faintest
