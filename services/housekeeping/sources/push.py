"""Rows that others push over HTTP: line protocol or JSON."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.core.errors import BadSettings
from services.core.housekeep_settings import PushSource
from services.housekeeping.lineprotocol import parse_line
from services.housekeeping.named import fill, in_rows
from services.housekeeping.sources.base import Bad, Batch, Position, SourceUnreachable
from services.housekeeping.sources.push_server import Pushed, PushServer
from services.housekeeping.times import time_parser

_KEY: Final = "requests"
_MOST_DIGESTS: Final = 256
_STOPS_WITHIN_S: Final = 0.1
Row = tuple[int, dict[str, float | str]]


class PushedRows:
    """A `Source`: the answer to a request (204) is given when its rows are safe.

    Who has no answer, or a 503, sends the same body again: it is not taken twice, also not after a restart of ours.
    A body with a line that is wrong is taken but for this line, which is set aside; one without any good line is
    refused (400).
    """

    def __init__(
        self, name: str, settings: PushSource, positions: Mapping[str, Position], wake: Callable[[], None]
    ) -> None:
        self._name = name
        self._settings = settings
        self._wake = wake
        self._done: list[str] = list(positions.get(_KEY, {}).get("done", ()))
        self._waiting: queue.Queue[Pushed] = queue.Queue(settings.max_requests)
        self._taken: list[Pushed] = []
        self._server: PushServer | None = None

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        self._listen()
        bad = Bad()
        rows: list[Row] = []
        repeated = 0
        self._taken = []
        for _ in range(self._settings.max_requests):
            try:
                pushed = self._waiting.get_nowait()
            except queue.Empty:
                break
            self._taken.append(pushed)
            digest = hashlib.blake2b(f"{pushed.form} {pushed.step_ns} ".encode() + pushed.body, digest_size=8)
            if digest.hexdigest() in self._done:
                repeated += 1
                continue
            before, wrong = len(rows), bad.count
            rows += self._rows(pushed, now_ns, bad)
            if len(rows) == before and bad.count > wrong:
                last = bad.rows[-1] if bad.rows else None
                pushed.refused = f"no good line: {last.reason if last else ''}"
            elif all(when != now_ns for when, _ in rows[before:]):  # a body without times may well be said twice
                self._done = [*self._done, digest.hexdigest()][-_MOST_DIGESTS:]
        if not self._taken:
            return Batch()
        samples = in_rows(self._name, rows, self._settings.units, f"push:{self._settings.port}")
        notes = {"repeated": repeated}
        return Batch(tuple(samples), {_KEY: {"done": self._done}}, tuple(bad.rows), bad.count, notes)

    def committed(self) -> None:
        """Answer."""
        for pushed in self._taken:
            pushed.safe.set()
        self._taken = []

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _listen(self) -> None:
        settings = self._settings
        if self._server is not None:
            return
        try:
            token = settings.token.read()
            address = (settings.host, settings.port)
            self._server = PushServer(address, token, settings.max_bytes, settings.timeout_s, self._take)
        except BadSettings as error:
            raise SourceUnreachable(str(error)) from None
        except OSError as error:
            raise SourceUnreachable(f"{settings.host}:{settings.port}: {error.strerror or error}") from None
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(_STOPS_WITHIN_S,), name=f"push-{self._name}", daemon=True).start()

    def _take(self, pushed: Pushed) -> bool:
        try:
            self._waiting.put_nowait(pushed)
        except queue.Full:
            return False
        self._wake()
        return True

    def _rows(self, pushed: Pushed, now_ns: int, bad: Bad) -> list[Row]:
        """Rows of a body; what is wrong is set aside with the number of its line."""
        origin = f"push:{pushed.address}"
        latest = now_ns + round(self._settings.future_s * 1e9)
        rows: list[Row] = []
        try:
            items = list(_lines(pushed.body)) if pushed.form == "line" else _documents(pushed.body)
        except (ValueError, RecursionError) as error:
            bad.add(origin, 0, str(error), repr(pushed.body[:80]))
            return []
        for number, item in items:
            try:
                row = self._line(item, pushed, now_ns) if isinstance(item, str) else _document(item, now_ns)
                if not 0 < row[0] <= latest:
                    raise ValueError("the time lies before 1970 or too far in the future")
            except (ValueError, OverflowError) as error:
                bad.add(origin, number, str(error), str(item))
            else:
                rows.append(row)
        return rows

    def _line(self, line: str, pushed: Pushed, now_ns: int) -> Row:
        point = parse_line(line)
        known = {**point.tags, "measurement": point.measurement}
        values = {
            fill(self._settings.parameter, {**known, "field": name}): value for name, value in point.fields.items()
        }
        return (now_ns if point.time is None else point.time * pushed.step_ns), values


def _lines(body: bytes) -> list[tuple[int, str]]:
    lines = enumerate(body.decode("utf-8").split("\n"), 1)
    return [(number, text) for number, line in lines if (text := line.strip("\r")) and not text.startswith("#")]


def _documents(body: bytes) -> list[tuple[int, Any]]:
    said = json.loads(body.decode("utf-8"))
    return list(enumerate(said if isinstance(said, list) else [said], 1))


_read_iso: Final = time_parser("iso")


def _document(item: Any, now_ns: int) -> Row:
    """`{"time": …, "values": {NAME: number or word}}`; time is ISO 8601 or nanoseconds, left out: now."""
    if not isinstance(item, dict) or not isinstance(item.get("values"), dict) or set(item) - {"time", "values"}:
        raise ValueError('expected {"time": …, "values": {NAME: number, …}}')
    values: dict[str, float | str] = {}
    for name, value in item["values"].items():
        if not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"{name!r} is neither a number nor a word")
        values[name[:120]] = value if isinstance(value, str) else float("nan") if value is None else float(value)
    if not values:
        raise ValueError("no values")
    when = item.get("time")
    if when is None:
        return now_ns, values
    return (when if isinstance(when, int) else _read_iso(str(when), None)), values
