"""What a product says about where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processors.card_text import Card
from processors.cards import Header
from processors.identity import FrameIdentity

# Cards of the raw header that a product keeps; sections, checksums and structure no longer hold.
KEPT: Final = (
    "TELESCOP",
    "INSTRUME",
    "OBJECT",
    "RA",
    "DEC",
    "EQUINOX",
    "RADESYS",
    "MJD-OBS",
    "DATE-OBS",
    "AIRMASS",
    "PROPID",
)


@dataclass(frozen=True, slots=True)
class InputRef:
    """A file that went into a product: its name, the sha256 of its bytes, and as what (frame, arc, bias, flat)."""

    name: str
    sha256: str
    role: str = "frame"


def quick_look(primary: Header) -> str:
    """What a primary header says of being an approximation (docs/formats.md section 4.1); empty if it is none."""
    codec = primary.get("NFCODEC")
    return "" if codec is None else f"{codec}, noise {primary.get('NFNOISE', '?')} of the sky's sigma"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file that did not go into a product, and why."""

    name: str
    reason: str


def provenance_cards(kind: str, software: str, inputs: Sequence[InputRef], rejected: Sequence[Rejection]) -> list[Card]:
    """Cards of a product's primary header; `kind`: of a master, reduced or spectrum; `software`: name and version."""
    cards: list[Card] = [
        ("NFKIND", kind, "kind of nightferry product"),
        ("NFSOFT", software, "made by"),
        ("NFNINP", len(inputs), "number of inputs"),
    ]
    for number, given in enumerate(inputs, 1):
        cards += [
            (f"NF IN{number} NAME", given.name, ""),
            (f"NF IN{number} ROLE", given.role, ""),
            (f"NF IN{number} SHA256", given.sha256, ""),
        ]
    for number, left_out in enumerate(rejected, 1):
        cards += [(f"NF REJ{number} NAME", left_out.name, ""), (f"NF REJ{number} WHY", left_out.reason, "")]
    return cards


def kept_cards(primary: Header, identity: FrameIdentity) -> list[Card]:
    """What the product of one frame keeps of its raw header, and the cards of its identity."""
    kept = [(keyword, primary[keyword], "") for keyword in KEPT if keyword in primary]
    return [*kept, *[card for card in identity_cards(identity) if card[0] not in KEPT]]


def identity_cards(identity: FrameIdentity) -> list[Card]:
    """Cards that say which frame, or group of frames, a product is of."""
    return [
        ("NFINST", identity.instrument, "instrument"),
        ("NFNIGHT", identity.night, "night of the observation"),
        ("NFEXPID", identity.expid, "exposure"),
        ("NFTYPE", identity.obstype, "obstype"),
        ("NFMODE", identity.mode, "imaging or spectroscopy"),
        ("NFREAD", identity.readout, "readout"),
        ("NFFILT", identity.filter, "filter"),
        ("NFSLIT", identity.slit, "slit"),
        ("NFDATE", identity.date_obs, "start of the exposure, UTC"),
        ("EXPTIME", identity.exptime_s, "s"),
        ("OBJECT", identity.object, ""),
    ]
