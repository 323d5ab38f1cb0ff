"""What comes back from a codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Restores = Literal["bytes", "pixels", "approximation"]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How true a restored frame is.

    Attributes
    ----------
    restores : str
        `bytes`: the original file; `pixels`: same pixels and cards, other layout; `approximation`: noise was added.
    noise_added : float or None
        Noise added, as a fraction of the sky sigma; None when lossless.
    """

    restores: Restores
    noise_added: float | None = None

    @property
    def lossless(self) -> bool:
        """Whether every pixel comes back."""
        return self.restores != "approximation"
