"""`Monitor`: check whether something was calculated, record its values, write them — for programs and notebooks.

The three verbs are those of the Simons Observatory's monitor. Values go through the host's metrics spool: they are safe
when `write()` returns, also while InfluxDB is away, and `nightferry metrics` delivers them.

    from services.monitor import Monitor

    with Monitor.from_settings("/etc/nightferry/centre.yaml") as monitor:
        for wafer in wafers:
            if monitor.check("white_noise", obs_id, {"wafer": wafer}):
                continue
            noise = ...                                                # one value per detector, shape (n,)
            monitor.record("white_noise", noise, tod_start, {"wafer": wafer, "detector": names}, "detector_stats",
                           log_tags={"observation": obs_id, "wafer": wafer})
            monitor.write()
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from services.core.log import get_logger
from services.core.metrics.ask import Elsewhere
from services.core.metrics.blocks import BLOCK_POINTS, Block, text_block
from services.core.metrics.columns import heads_of, names_are_good, texts, values_of
from services.core.metrics.drainage import recorded_tags
from services.core.metrics.influx import InfluxUnreachable
from services.core.metrics.line import line
from services.core.metrics.spool import Recorded, Spool, open_spool
from services.core.metrics.times import BadPoints, times_of

if TYPE_CHECKING:
    from services.core.settings import Settings

LOG: Final = "obs_process_log"


class Monitor:
    """Records values of calculations, and remembers for which observations they were made.

    Parameters
    ----------
    spool : Path
        The metrics spool of this host, `STATE_DIR/metrics.sqlite`; made when missing.
    site : str
        Becomes the tag `site` of every point.
    elsewhere : Elsewhere, optional
        The database in which `check` looks for what other hosts recorded.

    Raises
    ------
    TypeError
        A host, port and database, as the Simons Observatory's monitor takes them: this one would write a file of that
        name, which nobody drains.

    Not to be shared by threads: each makes its own, as many as there are.
    """

    def __init__(self, spool: Path | str, site: str, elsewhere: Elsewhere | None = None) -> None:
        if not isinstance(site, str) or not isinstance(elsewhere, Elsewhere | None):
            raise TypeError(
                "Monitor(spool, site) takes the file of a spool and a word, no server: "
                "where points go stands in the settings, Monitor.from_settings(FILE)"
            )
        self._open(Spool(Path(spool), site), elsewhere)

    def _open(self, spool: Spool, elsewhere: Elsewhere | None) -> None:
        self._spool = spool
        self._elsewhere = elsewhere
        self._texts: list[tuple[int, bytes]] = []
        self._recorded: list[Recorded] = []

    @classmethod
    def from_settings(cls, settings: Settings | Path | str, *, elsewhere: bool = False) -> Monitor:
        """A monitor of this host, from its settings or their file.

        Parameters
        ----------
        elsewhere : bool
            Let `check` ask the server of `metrics.influxdb` too (InfluxQL: versions 1, and 2 and 3 with a database of
            the bucket's name), for what other hosts recorded.

        Raises
        ------
        BadSettings
            The file is wrong, or `elsewhere` is asked of a server that cannot answer.
        """
        from services.core.settings import load_settings

        known = load_settings(Path(settings)) if isinstance(settings, Path | str) else settings
        monitor = cls.__new__(cls)
        monitor._open(open_spool(known), Elsewhere.of(known) if elsewhere else None)
        return monitor

    def check(self, field: str, observation: str, tags: Mapping[str, Any] | None = None, log: str = LOG) -> bool:
        """Whether a field was recorded for an observation, with (at least) these tags among its `log_tags`.

        True as soon as `write()` has returned, in every process of this host. What other hosts recorded is looked for
        in the database when the monitor has one to ask; while that is away, only this host's word counts.
        """
        asked = _plain(tags or {})
        for text in recorded_tags(self._spool, log, field, observation):
            known = json.loads(text)
            if all(known.get(key) == value for key, value in asked.items()):
                return True
        if self._elsewhere is None:
            return False
        try:
            return self._elsewhere.has(log, {**asked, "field": field, "observation": observation})
        except InfluxUnreachable as error:
            get_logger().warning("only this host's records are known", reason=str(error))
            return False

    def record(
        self,
        field: str,
        values: Any,
        timestamps: Any,
        tags: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        measurement: str,
        log: str = LOG,
        log_tags: Mapping[str, Any] | None = None,
    ) -> int:
        """Take points, to be written by the next `write()`; nothing of a call that raises is taken.

        Parameters
        ----------
        field, measurement : str
            Names; any text, escaped here.
        values : array_like, shape (n,)
            Floats, whole numbers, booleans or text, or one of them. NaN, infinities, None and masked values are left
            out.
        timestamps : array_like, shape (n,) or ()
            Seconds since 1970 UTC as floats, nanoseconds as whole numbers, datetime64, `datetime`, astropy `Time`.
        tags
            One mapping for all points, in which a value may also be a list or array of one per point (the fastest way
            to tag each detector); or a list of one mapping per point.
        log, log_tags
            What `check` looks for: `log_tags` names the observation, and what else tells this calculation from
            others. None: nothing is remembered.

        Returns
        -------
        int
            Points taken.

        Raises
        ------
        BadPoints
            Values, times and tags that do not fit each other, or `log_tags` without an observation.
        """
        points, made = self._made(field, values, timestamps, tags, measurement)
        if log_tags is not None:
            self._remember(field, points, log, _plain(log_tags))
        self._texts += made
        return points

    def _made(
        self, field: str, values: Any, timestamps: Any, tags: Any, measurement: str
    ) -> tuple[int, list[tuple[int, bytes]]]:
        names_are_good("measurement", [measurement])
        names_are_good("field", [field])
        array, there = values_of(values)
        times, known = times_of(timestamps, len(array))
        heads = heads_of(measurement, tags, len(array), {"site": self._spool.site})
        if isinstance(heads, str) and len(array) > 1 and (times == times[0]).all():
            raise BadPoints("values of one time and the same tags overwrite each other: give times or tags to each")
        there = there & known
        if not there.all():
            array, times = array[there], times[there]
            heads = heads if isinstance(heads, str) else list(compress(heads, there))
        return len(array), list(texts(heads, field, array, times))

    def _remember(self, field: str, points: int, log: str, tags: dict[str, str]) -> None:
        observation = tags.pop("observation", "")
        if not observation:
            raise BadPoints("log_tags: 'observation' is missing, and `check` would never find the record")
        names_are_good("log", [log])
        names_are_good("tag", tags)
        now_ns = time.time_ns()
        stored = json.dumps(tags, sort_keys=True, ensure_ascii=False)
        self._recorded.append(Recorded(log, field, observation, stored, points, now_ns / 1e9))
        told = {**tags, "site": self._spool.site, "field": field, "observation": observation}
        text = line(log, told, {"points": points}, now_ns)
        assert text is not None
        self._texts.append((1, f"{text}\n".encode("utf-8", "replace")))

    def write(self) -> int:
        """Write what was recorded since the last time: points and log in one transaction, all or nothing.

        Returns
        -------
        int
            Points written (those of the log among them).

        Raises
        ------
        SpoolUnwritable
            Nothing was written, and everything is kept for the next `write()`.
        """
        blocks = _blocks(self._texts)
        self._spool.append(blocks, self._recorded)
        self._texts, self._recorded = [], []
        return sum(block.points for block in blocks)

    def close(self) -> None:
        """Close the spool; what was recorded and not written is dropped."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left when the block ends well; an error in it drops what was not written."""
        try:
            if kind is None:
                self.write()
        finally:
            self.close()


def _plain(tags: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in tags.items() if value is not None and str(value)}


def _blocks(made: Sequence[tuple[int, bytes]]) -> list[Block]:
    """Texts side by side in as few blocks as they fill."""
    blocks: list[Block] = []
    run: list[bytes] = []
    points = 0
    for count, text in made:
        if run and points + count > BLOCK_POINTS:
            blocks.append(text_block(points, b"".join(run)))
            run, points = [], 0
        run.append(text)
        points += count
    if run:
        blocks.append(text_block(points, b"".join(run)))
    return blocks
