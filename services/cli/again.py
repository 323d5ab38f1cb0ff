"""`nightferry ship --again`: frames that shall go once more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from services.cli.common import emit, say
from services.cli.ledgers import existing_ledger


def ship_again(config: Path, what: Sequence[str], routes: Sequence[str], as_json: bool) -> int:
    """Let frames wait again; 1 when something named is not on record or cannot go, else 0."""
    from services.core.ledger import shipping
    from services.core.ledger.engine import now
    from services.retry import mark_for_undoing
    from services.routes.book import RouteBook

    status = 0
    with existing_ledger(config) as (settings, ledger):
        unknown = [name for name in routes if name not in settings.routes]
        if unknown:
            raise click.BadParameter(f"there is no route {unknown[0]!r}", param_hint="--route")
        names = list(routes) or list(settings.routes)
        wanting = RouteBook(settings, ledger).wanting()
        for text in what:
            with ledger.read() as conn:
                refused = shipping.refused_with(conn, [frame.sha256 for frame in _frames(conn, text)], names)
            for route, bundle in refused:  # else the same copy would go again, and its old receipt answer it
                mark_for_undoing(settings, route, bundle)
            with ledger.begin() as conn:
                frames = _frames(conn, text)
                under_way = {frame.sha256: shipping.ship_again(conn, frame.sha256, names, now()) for frame in frames}
            if not frames:
                status = 1
                say(f"nightferry: {text}: no such frame or night on record (or it is quarantined)")
            for frame in frames:
                wanted = [name for name in names if name in wanting(frame)]
                status = max(status, _told(frame, under_way[frame.sha256], wanted, as_json))
    return status


def _told(frame: Any, bundles: Sequence[str], routes: Sequence[str], as_json: bool) -> int:
    raw = Path(frame.path).exists()
    record = {
        "frame": frame.name,
        "sha256": frame.sha256,
        "routes": list(routes),
        "on_its_way": list(bundles),
        "raw": raw,
    }
    if as_json:
        emit(record)
    elif not raw:
        say(f"nightferry: {frame.name}: its raw file {frame.path} is gone; it cannot be packed again")
    elif not routes:
        say(f"nightferry: {frame.name}: no route that was asked for wants it (see 'filter' in the settings)")
    else:
        words = f"on its way already in {', '.join(bundles)}" if bundles else f"waits again for {', '.join(routes)}"
        say(f"{frame.name}: {words}")
    return 0 if raw and routes else 1


def _frames(conn: Any, text: str) -> Sequence[Any]:
    """Frames that a person means: a night (YYYYMMDD), a sha256 or its first 8 digits or more, a path, or a name."""
    from sqlalchemy import select

    from services.core.ledger.schema import frames

    query = (
        select(frames).where(frames.c.state != "quarantined").order_by(frames.c.night, frames.c.expid, frames.c.name)
    )
    if re.fullmatch(r"\d{8}", text):
        found = conn.execute(query.where(frames.c.night == text)).all()
        if found:
            return list(found)
    if re.fullmatch(r"[0-9a-f]{8,64}", text):
        found = conn.execute(query.where(frames.c.sha256.startswith(text))).all()
        if found:
            return list(found)
    column = frames.c.path if "/" in text else frames.c.name
    return list(conn.execute(query.where(column == (str(Path(text).absolute()) if "/" in text else text))).all())
