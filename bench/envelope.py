"""The learned envelope of the limits on SKAB: a water loop whose anomalies are labelled second by second.

Run as `python bench/envelope.py [--quick] [--json]`. It reads ../shared/data/housekeeping/skab and prints nothing but
a line on standard error when that is not there.

Each experiment begins with 400 s without anomaly. The envelope learns from these rows, as the data's own literature
does, and is frozen; the 600 to 900 rows after them are judged. A second is an alarm when an envelope alert of any
parameter is open (what a person would have been told), and is compared with the label.

Rows
----
envelope.default
    As it comes: 6 sigma, 3 samples, 60 s before an alert ends. Nothing was tuned.
envelope.long
    30 of the last 40 samples beyond 6 sigma: who wants no false alarm.
envelope.instant
    6 sigma with neither persistence nor time before the end: the detector alone.

The peer in every row is the rule of thumb: mean ± 3 standard deviations of the same 400 rows, every sample alone.
`ours` and `peer` are F1 over all judged seconds of all files; beside them precision, recall, the share of anomaly
episodes in which an alarm was open at any time, and alarms that began outside of any episode, per hour of normal data.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt

from services.housekeeping.limits.book import load_limits
from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.replay import rows_of
from services.housekeeping.samples import Samples

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "housekeeping" / "skab"
TRAINED = 400  # rows without anomaly at the beginning of every file
WAYS = {
    "envelope.default": "persist: {samples: 3}, resolve_after_s: 60",
    "envelope.long": "persist: {samples: 30, of: 40}, resolve_after_s: 60",
    "envelope.instant": "persist: {samples: 1}, resolve_after_s: 0",
}
LIMITS = """
sources:
  skab:
    parameters:
      '*': {{stale_s: off, nan: off, {way}, envelope: {{warning: 6, min_nights: 1, every_s: 1, learn: off}}}}
"""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Experiment:
    """One file: its rows, and the label of each."""

    samples: Samples
    anomaly: Bools


def read(path: Path) -> Experiment:
    """One labelled file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = lines[0].split(";")
    rows = [line.split(";") for line in lines[1:] if line]
    times = np.array([row[0] for row in rows], dtype="datetime64[ns]").astype(np.int64)
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    samples = Samples("skab", tuple(names[1:-2]), times, values[:, :-2])
    return Experiment(samples, values[:, -2] > 0)


def alarms(engine: Engine, experiment: Experiment) -> Bools:
    """In which rows after the training any envelope alert is open."""
    samples = experiment.samples
    engine.learn([rows_of(samples, 0, TRAINED)])
    judged = rows_of(samples, TRAINED, len(samples))
    change = np.zeros(len(judged) + 1, dtype=np.int64)
    for one in engine.feed(judged):
        row = int(np.searchsorted(judged.times_ns, one.time_ns))
        change[row] += 1 if one.opened else -1
    return np.asarray(np.cumsum(change)[:-1] > 0)


def three_sigma(experiment: Experiment) -> Bools:
    """The rule of thumb."""
    values = experiment.samples.values
    usual, scatter = values[:TRAINED].mean(axis=0), values[:TRAINED].std(axis=0)
    return np.asarray((np.abs(values[TRAINED:] - usual) > 3 * scatter).any(axis=1))


def runs(rows: Bools) -> list[tuple[int, int]]:
    """Begin and end of every stretch of true rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def scores(truths: Sequence[Bools], found: Sequence[Bools]) -> dict[str, float]:
    """Over all files together; shares 0 to 1, `false_per_h` alarms that began in normal data, per hour of it."""
    truth, alarm = np.concatenate(truths), np.concatenate(found)
    hits = int(np.count_nonzero(truth & alarm))
    precision = hits / max(1, int(np.count_nonzero(alarm)))
    recall = hits / max(1, int(np.count_nonzero(truth)))
    episodes = [one[begin:end].any() for one, t in zip(found, truths, strict=True) for begin, end in runs(t)]
    false = sum(not t[begin] for one, t in zip(found, truths, strict=True) for begin, _ in runs(one))
    return {
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "precision": precision,
        "recall": recall,
        "episodes": float(np.mean(episodes)),
        "false_per_h": false / (np.count_nonzero(~truth) / 3600),
    }


def measure(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """The rows of the table."""
    truths = [one.anomaly[TRAINED:] for one in experiments]
    peer = scores(truths, [three_sigma(one) for one in experiments])
    table = []
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "limits.yaml"
            path.write_text(LIMITS.format(way=way), encoding="utf-8")
            book = load_limits(path)
            ours = scores(truths, [alarms(Engine(book), one) for one in experiments])
        more = {key: round(value, 3) for key, value in ours.items() if key != "f1"}
        theirs = {f"peer_{key}": round(value, 3) for key, value in peer.items() if key != "f1"}
        table.append({
            "row": name, "ours": round(ours["f1"], 3), "peer": round(peer["f1"], 3), "peer_name": "mean ± 3 sigma",
            "unit": "F1", "ratio": round(ours["f1"] / peer["f1"], 3), **more, **theirs,
            "files": len(experiments), "seconds": int(sum(len(truth) for truth in truths)),
        })  # fmt: skip
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--json", action="store_true", help="one object per row")
    arguments = parser.parse_args()
    files = sorted(DATA.glob("*/*.csv"))
    if not files:
        print(f"no data in {DATA}", file=sys.stderr)
        return 0
    table = measure([read(path) for path in files])
    if arguments.json:
        for row in table:
            print(json.dumps(row))
        return 0
    print(f"{'':18} {'F1':>6} {'precision':>9} {'recall':>7} {'episodes':>8} {'false/h':>8}")
    for row in table:
        print(
            f"{row['row']:18} {row['ours']:6.3f} {row['precision']:9.3f} {row['recall']:7.3f} {row['episodes']:8.2f} "
            f"{row['false_per_h']:8.1f}"
        )
    row = table[0]
    print(
        f"{row['peer_name']:18} {row['peer']:6.3f} {row['peer_precision']:9.3f} {row['peer_recall']:7.3f} "
        f"{row['peer_episodes']:8.2f} {row['peer_false_per_h']:8.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
