"""A whole DECam-like exposure with its masters, as files: 62 detectors from a few that differ."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.rig.decam import COLUMNS, GAINS, OVERSCAN, PRESCAN, READ_NOISE, detector
from processors.card_text import Card
from processors.fits import ProductHDU, read_image, write_product
from processors.header import Header, read_headers
from processors.masters.file import key_cards
from processors.masters.ref import CalibrationKey
from processors.planes import Mask
from processors.provenance import provenance_cards
from transfer.bundle import Bundle
from transfer.codecs.registry import codec_named
from transfer.pack import RawFrame, pack

DIFFERENT = 4  # detectors that are simulated; the others repeat them
HEIGHT, WIDTH = 4096, 2048
_EDGE, _HALF = OVERSCAN + PRESCAN, COLUMNS // 2
_DATE = "2025-03-01T04:41:51.123"


def write_frame(path: Path, detectors: int) -> None:
    """A raw frame with the cards that identity, geometry and checks want."""
    rng = np.random.default_rng(11)
    raws = [detector(sky, rng) for sky in np.geomspace(1000, 5000, min(DIFFERENT, detectors))]
    primary: list[Card] = [
        ("INSTRUME", "DECam", ""), ("EXPNUM", 1229350, ""), ("DATE-OBS", _DATE, ""), ("EXPTIME", 90.0, ""),
        ("OBSTYPE", "object", ""), ("FILTER", "r DECam SDSS c0002 6415.0 1480.0", ""), ("OBJECT", "field", ""),
        ("PROPID", "2025A-0001", ""), ("SEQID", "field r", ""), ("SEQNUM", 1, ""), ("SEQTOT", 1, ""),
    ]  # fmt: skip
    write_product(
        path, primary, (ProductHDU(f"N{n + 1}", raws[n % len(raws)], _cards(n + 1)) for n in range(detectors))
    )


def bad_columns(path: Path, header: Header) -> np.ndarray:
    """Columns of a detector's trimmed image that shine, as a master's bits: what a bad-pixel mask is for."""
    raw = read_image(path, header)[:HEIGHT, _EDGE:-_EDGE].astype(np.float32)
    level = np.percentile(raw, 60, axis=0)
    mask = np.zeros((HEIGHT, WIDTH), np.uint16)
    mask[:, level > 1.5 * np.median(level)] = np.uint16(Mask.BAD)
    return mask


def _cards(number: int) -> tuple[Card, ...]:
    cards: list[Card] = [("CCDNUM", number, "")]
    for amplifier, (gain, first) in enumerate(zip(GAINS, (_EDGE, _HALF), strict=True)):
        name = "AB"[amplifier]
        overscan = PRESCAN if amplifier == 0 else _HALF + WIDTH // 2
        cards += [
            (f"DATASEC{name}", f"[{first + 1}:{first + WIDTH // 2},1:{HEIGHT}]", ""),
            (f"BIASSEC{name}", f"[{overscan + 1}:{overscan + OVERSCAN},1:{HEIGHT}]", ""),
            (f"GAIN{name}", gain, ""), (f"RDNOISE{name}", READ_NOISE, ""), (f"SATURAT{name}", 60000.0, ""),
        ]  # fmt: skip
    return tuple(cards)


def pack_frame(frame: Path, outbox: Path) -> Bundle:
    """The frame as it is shipped: one bundle, nfz."""
    outbox.mkdir()
    return pack(
        [RawFrame.of(frame)], outbox, bundle="exposure", site="summit", route="centre", codec=codec_named("nfz"),
        created=datetime(2025, 3, 1, 5, tzinfo=UTC), previous=None, software="bench",
    )  # fmt: skip


def write_badpix(path: Path, frame: Path, detectors: int) -> None:
    """A bad-pixel master for a frame."""
    headers = read_headers(frame)[1:]
    masks = [bad_columns(frame, header) for header in headers[:DIFFERENT]]
    key = CalibrationKey("badpix", "decam", "20250228", "normal")
    cards = [*key_cards(key, _DATE), *provenance_cards("badpix", "bench", (), ())]
    write_product(path, cards, (ProductHDU(f"{n + 1}-MASK", masks[n % len(masks)]) for n in range(detectors)))


def write_master(path: Path, kind: str, detectors: int) -> None:
    """A master bias or flat; of its planes only the values, which are what a reduction reads."""
    rng = np.random.default_rng(5)
    filter_name, mode = ("r", "imaging") if kind == "flat" else ("", "")
    key = CalibrationKey(kind, "decam", "20250228", "normal", filter_name, mode)  # type: ignore[arg-type]
    level, noise = (1.0, 0.001) if kind == "flat" else (0.0, 0.5)
    values = rng.normal(level, noise, (HEIGHT, WIDTH)).astype(np.float32)
    cards = [*key_cards(key, _DATE), *provenance_cards(kind, "bench", (), ())]
    write_product(path, cards, (ProductHDU(f"{n + 1}-VALUE", values) for n in range(detectors)))
