"""The kinds of characterisation, in the order in which they are listed; a new kind is a file and a line here."""

from __future__ import annotations

from typing import Final

from processors.characterise.bias import BIAS
from processors.characterise.cosmetics import COSMETICS
from processors.characterise.cti import CTI
from processors.characterise.dark import DARK
from processors.characterise.flat import FLAT
from processors.characterise.focus import FOCUS
from processors.characterise.kind import Kind
from processors.characterise.linearity import LINEARITY
from processors.characterise.persistence import PERSISTENCE
from processors.characterise.ptc import PTC

KINDS: Final[tuple[Kind, ...]] = (BIAS, DARK, FLAT, PTC, LINEARITY, COSMETICS, FOCUS, PERSISTENCE, CTI)
