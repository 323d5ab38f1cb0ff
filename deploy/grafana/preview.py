"""Draws what the panels of the dashboards hold: no Grafana, only their own queries, put to a real InfluxDB.

    python -m deploy.grafana.preview --url http://127.0.0.1:8086 --from 2026-11-20T16:00 --to 2026-11-21T16:00 -o out

One PNG for each dashboard, laid out on its grid. Colours and details are not Grafana's; the numbers are. With several
ranges (a night that was played again: its exposures are old, its transfers new) a panel takes the first that fills it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.grafana.build import HERE
from deploy.grafana.queries import Filling, Found, dashboard_queries

_COLUMN_IN, _CELL_IN = 0.75, 0.42
Placed = tuple[dict[str, Any], dict[str, list[str]]]
_ROWS_OF_A_TABLE: Final = 7
_REPEATS: Final = 3


@dataclass(frozen=True)
class Series:
    """One series of an answer: its name, its columns, its rows; time in milliseconds since 1970 UTC."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def ask(url: str, database: str, text: str) -> list[Series]:
    """Put a query to InfluxDB, as Grafana does.

    Raises
    ------
    ValueError
        InfluxDB does not understand it.
    OSError
        InfluxDB does not answer.
    """
    data = urllib.parse.urlencode({"q": text, "db": database, "epoch": "ms"}).encode()
    with urllib.request.urlopen(f"{url}/query", data=data, timeout=60) as reply:
        (result,) = json.loads(reply.read())["results"]
    if "error" in result:
        raise ValueError(f"{result['error']}: {text}")
    return [
        Series(" ".join(one.get("tags", {}).values()), one["columns"], one["values"])
        for one in result.get("series", [])
    ]


def draw(document: dict[str, Any], spans: Sequence[Filling], url: str, database: str, out: Path) -> Path:
    """Draw one dashboard to `out`/UID.png."""
    from matplotlib.figure import Figure

    panels = list(_placed(document, spans[0], url, database))
    depth = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)
    figure = Figure(figsize=(24 * _COLUMN_IN, depth * _CELL_IN), dpi=70)
    found = list(dashboard_queries(document))
    for panel, values in panels:
        at = panel["gridPos"]
        box = (
            at["x"] / 24 + 0.025,
            1 - (at["y"] + at["h"] - 0.9) / depth,
            at["w"] / 24 - 0.032,
            (at["h"] - 1.7) / depth,
        )
        axes = figure.add_axes(box)
        title = panel["title"].replace("$parameter", values.get("parameter", ["$parameter"])[0])
        axes.set_title(title, fontsize=8, loc="left", pad=3)
        queries = [query for query in found if query.panel == panel["id"]]
        for span in spans:
            filling = Filling(span.from_ms, span.to_ms, values)
            answers = [(query, ask(url, database, filling.fill(query))) for query in queries]
            if any(answer for _, answer in answers):
                break
        _KINDS[panel["type"]](axes, panel, answers)
    path = out / f"{document['uid']}.png"
    figure.savefig(path)
    return path


def _placed(document: dict[str, Any], filling: Filling, url: str, database: str) -> Iterator[Placed]:
    """Every panel with the values of its variables; one that is repeated, for the first values."""
    for panel in document["panels"]:
        if panel["type"] == "row":
            continue
        name = panel.get("repeat")
        if name is None:
            yield panel, {}
            continue
        variable = next(one for one in document["templating"]["list"] if one["name"] == name)
        answer = ask(url, database, filling.fill(Found("", "", "variable", variable["query"])))
        values = sorted({row[1] for series in answer for row in series.rows})[:_REPEATS]
        for number, value in enumerate(values):
            at = {**panel["gridPos"], "x": number * panel["gridPos"]["w"]}
            yield {**panel, "gridPos": at}, {name: [value]}


def _curves(axes: Any, panel: dict[str, Any], answers: Sequence[tuple[Found, list[Series]]]) -> None:
    style = panel["fieldConfig"]["defaults"]["custom"]["drawStyle"]
    for _, answer in answers:
        for series in answer:
            for column, name in enumerate(series.columns[1:], start=1):
                pairs = [(_when(row[0]), row[column]) for row in series.rows if row[column] is not None]
                if pairs:
                    times, values = zip(*pairs, strict=True)
                    look = {"line": {"marker": ".", "ms": 2, "lw": 0.8}}.get(style, {"marker": ".", "ls": "", "ms": 4})
                    axes.plot(times, values, label=f"{series.name} {name}"[:24], **look)
    axes.tick_params(labelsize=6)
    for label in axes.get_xticklabels():
        label.set_rotation(12)
    if axes.lines:
        axes.legend(fontsize=5, ncols=2, loc="upper left", framealpha=0.4)
    axes.set_ylabel(panel["fieldConfig"]["defaults"]["unit"].removeprefix("suffix: "), fontsize=6)


def _number(axes: Any, panel: dict[str, Any], answers: Sequence[tuple[Found, list[Series]]]) -> None:
    axes.axis("off")
    unit = panel["fieldConfig"]["defaults"]["unit"].removeprefix("suffix: ").removeprefix("short")
    words = [
        f"{series.name or series.columns[1]} {_word(series.rows[-1][1])} {unit}"
        for _, answer in answers
        for series in answer
    ]
    axes.text(0.5, 0.5, "\n".join(words) or "none", ha="center", va="center", fontsize=9)


def _grid(axes: Any, _: dict[str, Any], answers: Sequence[tuple[Found, list[Series]]]) -> None:
    axes.axis("off")
    lines: list[str] = []
    for found, answer in answers:
        for series in answer:
            head = f"[{found.ref_id}] {series.name}"
            lines += [head + " | ".join(series.columns)] if not lines or not series.name else []
            lines += [
                f"{series.name} " + " | ".join(_word(cell) for cell in row) for row in series.rows[:_ROWS_OF_A_TABLE]
            ]
    axes.text(
        0, 1, "\n".join(line[:170] for line in lines[: 2 * _ROWS_OF_A_TABLE]), va="top", fontsize=6, family="monospace"
    )


def _states(axes: Any, _: dict[str, Any], answers: Sequence[tuple[Found, list[Series]]]) -> None:
    for _found, answer in answers:
        for height, series in enumerate(answer):
            known = [(_when(row[0]), row[1]) for row in series.rows if row[1] is not None]
            colours = ["tab:green" if value else "tab:red" for _time, value in known]
            axes.scatter([time for time, _value in known], [height] * len(known), c=colours, marker="s", s=14)
        axes.set_yticks(range(len(answer)), [series.name for series in answer])
    axes.tick_params(labelsize=6)


_KINDS: Final = {"timeseries": _curves, "stat": _number, "table": _grid, "state-timeline": _states}


def _when(milliseconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and value > 10**12:
        return f"{_when(value):%m-%d %H:%M:%S}"
    return "" if value is None else str(value)[:28]


def _milliseconds(text: str) -> int:
    time = dt.datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8086", help="InfluxDB with its version 1 /query")
    parser.add_argument("--database", default="nightferry")
    day: dict[str, Any] = {"type": _milliseconds, "required": True, "action": "append"}
    parser.add_argument("--from", dest="starts", help="UTC, such as 2026-11-20T16:00; may be repeated with --to", **day)
    parser.add_argument("--to", dest="ends", **day)
    parser.add_argument("-o", "--out", type=Path, required=True, help="directory for the pictures")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    spans = [Filling(start, end, {}) for start, end in zip(options.starts, options.ends, strict=True)]
    for path in sorted((HERE / "json").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        sys.stdout.write(f"{draw(document, spans, options.url, options.database, options.out)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
