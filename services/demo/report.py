"""The demo's report page: one HTML file, beside the previews it shows."""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from services.demo.account import Account

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1d2330; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.ok { color: #12663a; } .failed { color: #a3161c; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #d9dde5; white-space: nowrap; }
.scroll { overflow-x: auto; }
.previews { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; }
.previews img { width: 100%; background: #000; } figure { margin: 0; } figcaption { font-size: .85rem; }
"""


def write_report(path: Path, account: Account, previews: Sequence[Path]) -> None:
    """Write the page; paths of previews are relative to it, so that the directory can be moved."""
    verdict = "failed" if account.faults else "ok"
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>nightferry: a night</title>",
        "<meta name='viewport' content='width=device-width'>",
        f"<style>{_STYLE}</style><h1>A night through nightferry</h1>",
        f"<p class='{verdict}'><strong>{html.escape(account.last_line)}</strong></p>",
    ]
    if account.faults:
        parts += ["<h2>Faults</h2><ul>", *(f"<li>{html.escape(fault)}</li>" for fault in account.faults), "</ul>"]
    parts += ["<h2>Frames by kind</h2>", _table(("kind", "frames"), _by_kind(account))]
    parts += ["<h2>Checks</h2>", _table(("check", "verdict", "how many"), account.verdicts)]
    if account.told is not None:
        parts += ["<h2>Housekeeping, alerts, metrics</h2>", _table(("what", "number"), account.told.lines())]
    parts += ["<h2>Previews</h2><div class='previews'>", *(_figure(path, image) for image in previews), "</div>"]
    keys = ("name", "night", "expid", "obstype", "exptime_s", "filter", "object", "state", "sha256")
    rows = [[frame[key] if key != "sha256" else f"{frame[key][:16]}…" for key in keys] for frame in account.frames]
    parts += ["<h2>Every frame</h2>", _table(keys, rows), "</html>"]
    path.write_text("\n".join(parts), encoding="utf-8")


def _by_kind(account: Account) -> list[tuple[str, int]]:
    return sorted(Counter(str(frame["obstype"]) for frame in account.frames).items())


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def _figure(page: Path, image: Path) -> str:
    source = html.escape(os.path.relpath(image, page.parent))
    name = html.escape(image.stem)
    picture = f"<a href='{source}'><img src='{source}' alt='{name}' loading='lazy'></a>"
    return f"<figure>{picture}<figcaption>{name}</figcaption></figure>"
