"""Rows of a benchmark: medians and spread of ours and a peer's, and how they are printed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def row(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float],
    peer_name: str,
    unit: str,
    *,
    less: bool = False,
    **more: Any,
) -> Row:
    """A row of medians; `ratio` > 1 means that ours is better, `less` that a small figure is the better one."""
    mine, other = (round(statistics.median(values), 3) if values else None for values in (ours, peer))
    better, worse = (other, mine) if less else (mine, other)
    return {
        "row": name,
        "ours": mine,
        "peer": other,
        "peer_name": peer_name,
        "unit": unit,
        "ratio": round(better / worse, 3) if better is not None and worse else None,
        "ours_spread": spread(ours),
        "peer_spread": spread(peer),
        "runs": [len(ours), len(peer)],
        **{key: value for key, value in more.items() if value is not None},
    }


def spread(values: Sequence[float]) -> list[float]:
    """Smallest and largest."""
    return [round(min(values), 3), round(max(values), 3)] if values else []


def show(each: Row, *, as_json: bool) -> None:
    """Print a row as one JSON object or as a line for people."""
    if as_json:
        print(json.dumps(each, ensure_ascii=False), flush=True)
        return
    ratio = f"x{each['ratio']:.2f}" if each["ratio"] is not None else "-"
    known = ("row", "ours", "peer", "peer_name", "unit", "ratio", "ours_spread", "peer_spread", "runs")
    more = ", ".join(f"{key} {value}" for key, value in each.items() if key not in known)
    print(
        f"{each['row']:<26} {figure(each['ours']):>8} {each['unit']:<5} {each['peer_name']:<16} "
        f"{figure(each['peer']):>8}  {ratio:>7}  {each['ours_spread']} / {each['peer_spread']}  {more}",
        flush=True,
    )


def figure(value: float | None) -> str:
    """A figure or a dash."""
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"
