"""The account of a soak: every frame, every row of housekeeping, every message, every alert."""

from __future__ import annotations

import contextlib
import email.policy
import sqlite3
from collections import Counter
from collections.abc import Iterator
from email.parser import BytesParser
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.soak.night import PARAMETERS, Night
from tests.soak.servers import Servers
from tests.soak.units import Units
from transfer.checksum import sha256_file

HOSTS: Final = ("telescope", "centre")
_LONG_S: Final = 10.0  # an alert that was open for so long was to be told
_SITES: Final = {"telescope": "summit", "centre": "centre"}
_PHONES: Final = {"anna": "56911111111", "ben": "56922222222"}


@contextlib.contextmanager
def ledger(root: Path, host: str) -> Iterator[sqlite3.Connection]:
    """The ledger of a host, to be read."""
    connection = sqlite3.connect(f"file:{root / host / 'state' / 'ledger.sqlite'}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    with contextlib.closing(connection):
        yield connection


def left(root: Path, night: Night) -> dict[str, int]:
    """What is still to happen, by what it is; what is not there is nothing."""
    found: Counter[str] = Counter(rows=max(0, night.unsent - 4))
    for host in HOSTS:
        with ledger(root, host) as conn:
            found["alerts"] += _count(conn, "alerts", "open AND alert != 'transfer:no_frame'")
            found["messages"] += _count(conn, "notifications", "state IN ('waiting', 'sending')")
            found["tasks"] += _count(conn, "tasks", "state NOT IN ('done', 'failed')")
    with ledger(root, "telescope") as conn:
        found["frames to ship"] = _count(conn, "frames", "state != 'shipped'")
    with ledger(root, "centre") as conn:
        found["frames to come"] = len(night.frames) - _count(conn, "frames", "1")
    return {what: number for what, number in found.items() if number}


def nights_in_doubt(root: Path) -> list[str]:
    """Nights of which a person is told that they are not whole."""
    with ledger(root, "telescope") as conn:
        query = "SELECT alert FROM alerts WHERE open AND alert LIKE 'night:%'"
        return [row["alert"].removeprefix("night:") for row in conn.execute(query)]


def faults(root: Path, night: Night, servers: Servers, units: Units) -> list[str]:
    """Everything that is wrong at the end; empty when all is accounted for."""
    found = [*units.ended, *_frames(root, night), *_rows(night, servers), *_messages(root, servers, units)]
    for host in HOSTS:
        with ledger(root, host) as conn:
            found += [f"{host}: {line}" for line in _untold(conn)]
    return found + [f"{number} {what} left" for what, number in left(root, night).items()]


def _count(conn: sqlite3.Connection, table: str, condition: str) -> int:
    return int(conn.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0])


def _frames(root: Path, night: Night) -> Iterator[str]:
    wanted = {frame.sha256 for frame in night.frames.values()}
    files = (path for path in (root / "centre" / "archive").rglob("*.fits*") if ".incoming" not in path.parts)
    archived = Counter(sha256_file(path) for path in files)
    if missing := wanted - set(archived):
        yield f"{len(missing)} frames are not in the archive"
    if twice := [sha256 for sha256, number in archived.items() if number > 1 or sha256 not in wanted]:
        yield f"{len(twice)} files in the archive too many"
    science = {frame.sha256 for frame in night.frames.values() if frame.obstype == "science"}
    query = """SELECT i.sha256 FROM tasks t JOIN task_inputs i ON i.task = t.task JOIN products p ON p.task = t.task
        WHERE t.kind = 'reduce' AND t.state = 'done' AND i.role = 'frame' GROUP BY t.task, i.sha256"""
    with ledger(root, "centre") as conn:
        reduced = Counter(row["sha256"] for row in conn.execute(query))
        failed = _count(conn, "tasks", "state = 'failed'")
    wrong = [sha256 for sha256 in science if reduced[sha256] != 1]
    if wrong or failed:
        yield f"{len(wrong)} science frames not reduced exactly once, {failed} tasks failed"


def _rows(night: Night, servers: Servers) -> Iterator[str]:
    for source, rows in night.rows.items():
        parameters = len(PARAMETERS) if source == "bench" else 2
        query = f"SELECT count(value) FROM housekeeping WHERE source = '{source}'"
        answer = servers.influx.rows(query)
        found = answer[0][1] if answer else 0
        if found != rows * parameters:
            yield f"{found} points of {source} in InfluxDB, {rows * parameters} were written"


def _messages(root: Path, servers: Servers, units: Units) -> Iterator[str]:
    said: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for host in HOSTS:
        with ledger(root, host) as conn:
            for row in conn.execute("SELECT key, kind, person FROM notifications WHERE state = 'sent'"):
                if row["kind"] == "mail":
                    said[f"{_SITES[host]}:{row['key']}"] += 1
                else:
                    texts[_PHONES[row["person"]]] += 1
    parser = BytesParser(policy=email.policy.default)
    got = Counter(str(parser.parsebytes(m.raw, headersonly=True)["X-Nightferry-Key"]) for m in servers.smtp.mails)
    kills = sum(unit.kills for unit in units.units if "notify" in unit.name)
    if never := said - got:
        yield f"{never.total()} mails on record were never got"
    # A daemon that is killed between the server's "yes" and its own record says it once more.
    if (more := got - said).total() > kills:
        yield f"{more.total()} mails too many, notify was killed {kills} times"
    if (sms := Counter(sms.to for sms in servers.modem.sent)) - texts and (sms - texts).total() > kills:
        yield f"{(sms - texts).total()} SMS too many"
    if texts - sms:
        yield f"{(texts - sms).total()} SMS on record were never sent"


def _untold(conn: sqlite3.Connection) -> Iterator[str]:
    """Episodes that nobody heard of, or of whose end nobody heard, though they were told of its begin."""
    told: dict[tuple[str, int], set[tuple[str, str]]] = {}
    for row in conn.execute("SELECT t.*, n.state FROM tellings t JOIN notifications n ON n.key = t.key"):
        if row["state"] == "sent":
            told.setdefault((row["alert"], row["episode"]), set()).add((row["step"], row["person"]))
    episode: Counter[str] = Counter()
    began: dict[str, float] = {}
    flapping: set[str] = set()
    for row in conn.execute("SELECT name, at, to_state FROM events WHERE subject = 'alert' ORDER BY id"):
        name, step = row["name"], row["to_state"]
        if step == "raised":
            episode[name] += 1
            began[name] = row["at"]
        elif step in ("flapping", "calm"):
            (flapping.add if step == "flapping" else flapping.discard)(name)
        elif step == "resolved" and name in began:
            lasted_s = row["at"] - began.pop(name)
            quiet = name in flapping or fnmatchcase(name, "housekeeping:bench:muted:*") or name == "transfer:no_frame"
            steps = told.get((name, episode[name]), set())
            hearers = {person for what, person in steps if what != "resolved"}
            if lasted_s > _LONG_S and not quiet:
                if not hearers:
                    yield f"nobody was told of {name} ({lasted_s:.0f} s, episode {episode[name]})"
                elif hearers != {person for what, person in steps if what == "resolved"}:
                    yield f"not all of {sorted(hearers)} heard the end of {name}, episode {episode[name]}"
