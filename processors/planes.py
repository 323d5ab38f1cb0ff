"""Names of the bits in a product's MASK plane."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from processors.card_text import Card


class Mask(IntFlag):
    """Why a pixel is not to be trusted."""

    BAD = 1  # in a bad section of the instrument file, or bad in a bad-pixel master
    SATURATED = 2  # raw value at or above the amplifier's saturation
    NO_FLAT = 4  # the flat is not usable here; no flat was applied
    NOT_A_NUMBER = 8  # the raw value, or that of a calibration, is NaN or infinite; SCI is 0
    COSMIC = 16  # struck by a cosmic ray
    HOT = 32  # high or unstable dark current, in a bad-pixel master
    BLEED = 64  # at the ends or sides of a bleed trail; its value is below saturation and still wrong
    CROSSTALK = 128  # ghost of a saturated pixel of another amplifier, whose true signal nobody knows


MASK_CARDS: Final[tuple[Card, ...]] = tuple(
    (f"MASK{bit.value.bit_length() - 1}", bit.name or "", f"bit {bit.value} of the MASK plane") for bit in Mask
)
