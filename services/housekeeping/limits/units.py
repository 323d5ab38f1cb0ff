"""Units as people write them, compared without being strict about spelling."""

from __future__ import annotations

from typing import Final

_SAME: Final[dict[str, str]] = {
    word: name
    for name, words in {
        "degC": "degc c celsius deg_c deg.c °c centigrade",
        "K": "k kelvin",
        "V": "v volt volts",
        "A": "a amp ampere amperes",
        "s": "s sec second seconds",
        "deg": "deg degree degrees °",
        "arcsec": 'arcsec arcseconds asec "',
        "h": "h hour hours",
        "%": "% percent",
    }.items()
    for word in words.split()
}


def same_unit(one: str, other: str) -> bool:
    """Whether two words mean one unit: `deg C` is `degC`; `mA` is not `A`, and `mbar` not `Mbar`."""
    return one == other or _plain(one) == _plain(other)


def _plain(unit: str) -> str:
    tight = "".join(unit.split())
    return _SAME.get(tight.casefold(), tight)
