"""An InfluxQL query of an InfluxDB 1.x (or what speaks its language), polled by time."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from services.core.housekeep_settings import InfluxSource
from services.core.tls import context_of, words_of
from services.housekeeping.named import fill
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Bad, Batch, Position, SourceUnreachable
from services.housekeeping.table import to_number
from services.housekeeping.times import AHEAD_NS

_KEY: Final = "query"
_SHORTEST_NS: Final = 1_000_000
_LARGEST: Final = 64 << 20  # bytes of one answer


class _NoWayRound(urllib.request.HTTPRedirectHandler):
    """A redirection is no answer: our login would go to whomever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


Series = dict[str, tuple[list[int], list[float | str]]]  # by parameter


class InfluxPolled:
    """A `Source`: asks for the time since the last answer and for `overlap_s` before it, where points may come late.

    A point is its parameter and its time: one that was given before is not given again, one that comes late is. The
    position holds how far the queries reached and the digests of the points within the overlap.
    """

    def __init__(self, name: str, settings: InfluxSource, positions: Mapping[str, Position]) -> None:
        self._name = name
        self._settings = settings
        kept = positions.get(_KEY, {})
        self._until: int | None = kept.get("until")
        self._seen: dict[int, int] = dict(_unpack(kept.get("seen", "")))  # digest of a point → its time
        self._overlap_ns = round(settings.overlap_s * 1e9)
        self._window_ns = round(settings.window_s * 1e9)
        https = urllib.request.HTTPSHandler(context=context_of(settings))
        self._http = urllib.request.build_opener(https, _NoWayRound)

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        settings = self._settings
        if self._until is not None and self._until > now_ns + AHEAD_NS:  # our clock was ahead, and was put right
            self._until = now_ns
        begin = self._until if self._until is not None else now_ns - round(settings.begin_s * 1e9)
        end = min(now_ns, begin + self._window_ns)
        if end <= begin:  # our clock was set back
            return Batch(notes={"clock_back": 1} if end < begin else {})
        answer = self._ask(begin - self._overlap_ns, end)
        if any(series.get("partial") for series in answer.get("series", ())):  # the server's max-row-limit
            if self._window_ns < _SHORTEST_NS:
                raise SourceUnreachable(f"{settings.url}: cuts its answers short (max-row-limit)")
            self._window_ns //= 2
            return Batch(more=True)
        self._window_ns = min(self._window_ns * 2, round(settings.window_s * 1e9))
        bad = Bad()
        late, fresh = self._fresh(answer, begin, bad)
        self._until = end
        oldest = end - self._overlap_ns
        self._seen = {digest: when for digest, when in self._seen.items() if when > oldest}
        position = {"until": end, "seen": _pack(self._seen)}
        notes = {"late": late} if late else {}
        return Batch(
            tuple(self._samples(fresh)), {_KEY: position}, tuple(bad.rows), bad.count, notes, more=end < now_ns
        )

    def committed(self) -> None:
        """Nobody waits for a word."""

    def close(self) -> None:
        """Nothing is held."""

    def _fresh(self, answer: Any, begin: int, bad: Bad) -> tuple[int, Series]:
        """Points that were not given before, and how many of them came late."""
        late = 0
        fresh: Series = {}
        try:
            for parameter, when, value in self._points(answer, bad):
                digest = _digest(parameter, when)
                if digest in self._seen:
                    continue
                self._seen[digest] = when
                late += when <= begin
                times, values = fresh.setdefault(parameter, ([], []))
                times.append(when)
                values.append(value)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise SourceUnreachable(f"{self._settings.url}: no InfluxQL answer: {error}") from None
        return late, fresh

    def _ask(self, after_ns: int, until_ns: int) -> Any:
        settings = self._settings
        query = settings.query.replace("{time}", f"(time > {after_ns} AND time <= {until_ns})")
        form = {"db": settings.database, "q": query, "epoch": "ns"}
        request = urllib.request.Request(
            f"{settings.url.rstrip('/')}/query", urllib.parse.urlencode(form).encode(), self._headers()
        )
        try:
            with self._http.open(request, timeout=settings.timeout_s) as answer:
                body = answer.read(_LARGEST + 1)
        except urllib.error.HTTPError as error:
            words = error.read(500).decode("utf-8", "replace").strip()
            raise SourceUnreachable(f"{settings.url}: {error.code} {words}") from None
        except (urllib.error.URLError, OSError) as error:
            raise SourceUnreachable(f"{settings.url}: {words_of(error)}") from None
        if len(body) > _LARGEST:
            raise SourceUnreachable(f"{settings.url}: an answer of more than {_LARGEST} bytes; make window_s shorter")
        try:
            said = json.loads(body)
            result = said["results"][0]
        except (ValueError, LookupError, TypeError):
            raise SourceUnreachable(f"{settings.url}: no InfluxQL answer: {body[:200]!r}") from None
        if "error" in result:
            raise SourceUnreachable(f"{settings.url}: {result['error']}")
        return result

    def _headers(self) -> dict[str, str]:
        settings = self._settings
        if settings.token is not None:
            return {"Authorization": f"Token {settings.token.read()}"}
        if settings.user is not None and settings.password is not None:
            pair = f"{settings.user}:{settings.password.read()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _points(self, result: Any, bad: Bad) -> Iterator[tuple[str, int, float | str]]:
        for series in result.get("series", ()):
            columns = series.get("columns", ())
            tags = {"measurement": str(series.get("name", "")), **series.get("tags", {})}
            if "time" not in columns:
                bad.add(self._settings.url, 0, "a series without times", str(series)[:120])
                continue
            time = columns.index("time")
            names = [fill(self._settings.parameter, {**tags, "field": field}) for field in columns]
            for row in series.get("values", ()):
                for index, value in enumerate(row):
                    if index != time and value is not None:
                        yield names[index], int(row[time]), value if isinstance(value, str) else float(value)

    def _samples(self, fresh: Series) -> Iterator[Samples]:
        """Parameters with the same times go together."""
        groups: dict[tuple[Any, ...], list[str]] = {}
        for parameter, (times, values) in fresh.items():
            groups.setdefault((any(isinstance(value, str) for value in values), *times), []).append(parameter)
        for (are_words, *times), parameters in sorted(groups.items(), key=lambda item: item[0][1]):
            order = np.argsort(np.array(times, dtype=np.int64), kind="stable")
            when = np.array(times, dtype=np.int64)[order]
            units = {name: unit for name, unit in self._settings.units.items() if name in parameters}
            if are_words:
                texts = {name: tuple(str(fresh[name][1][row]) for row in order) for name in parameters}
                yield Samples(self._name, (), when, np.empty((len(when), 0)), texts, units, self._settings.url)
                continue
            columns = [[to_number(str(value)) for value in fresh[name][1]] for name in parameters]
            grid = np.array(columns, dtype=np.float64).T[order]
            yield Samples(self._name, tuple(parameters), when, grid, {}, units, self._settings.url)


def _digest(parameter: str, when: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{when} {parameter}".encode(), digest_size=7).digest(), "big")


def _pack(seen: Mapping[int, int]) -> str:
    pairs = np.array(sorted((when, digest) for digest, when in seen.items()), dtype=np.int64).reshape(-1, 2)
    return base64.b64encode(zlib.compress(pairs.tobytes(), 1)).decode()


def _unpack(text: str) -> Iterator[tuple[int, int]]:
    if text:
        pairs = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.int64).reshape(-1, 2)
        yield from ((digest, when) for when, digest in pairs.tolist())
