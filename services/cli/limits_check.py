"""`nightferry limits check`: is a limits file valid, and what holds on a date."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, plural, say
from services.cli.limits_data import Moment, config_option, file_argument, moment, printer, read_all

if TYPE_CHECKING:
    from services.housekeeping.limits.book import Entry, LimitBook
    from services.housekeeping.limits.ratesettings import RateSettings
    from services.housekeeping.limits.rule import Rule
    from services.housekeeping.samples import Samples

EPILOG = """\b
Examples:
  nightferry limits check euclid_roe.yaml
  nightferry limits check euclid_roe.yaml --on 2026-03-01 --json | jq -r .parameter
  nightferry limits check euclid_roe.yaml --hk HK_191_050800D000000T_ROE1.txt
\b
Exit codes: 0 good, 1 a limit without a parameter or in another unit than its parameter (with --hk), 2 the file is
wrong: each mistake as FILE:LINE, 4 the data cannot be read."""


@click.command(epilog=EPILOG)
@file_argument
@click.argument("more", nargs=-1, metavar="[DATA]...")
@click.option("--hk", "data", multiple=True, metavar="[SOURCE=]DATA", help="Recorded files, to compare the names with.")
@click.option("--on", "on_ns", type=Moment(), help="The date whose limits are shown (default: now).")
@config_option
@json_option
def check(
    file: Path, more: tuple[str, ...], data: tuple[str, ...], on_ns: int | None, config: Path | None, as_json: bool
) -> int:
    """Check a limits FILE, and show every limit in force; with DATA the parameters that have none, too."""
    from services.housekeeping.limits.book import load_limits

    book = load_limits(file)
    now_ns = time.time_ns()
    when = now_ns if on_ns is None else on_ns
    recorded = read_all(book, (*data, *more), config, now_ns)
    recorded.say_bad()
    records = list(_records(book, when))
    if as_json:
        for record in records:
            emit(record)
    else:
        _show(records)
        say(f"{file}: good; {plural(len(records), 'limit')} of {plural(len(book.sources), 'source')} on {moment(when)}")
    findings = list(_findings(book, recorded.samples, when)) if recorded.samples else []
    for finding in findings:
        if as_json:
            emit(finding)
        else:
            say(_words(finding))
    return 1 if any(finding["finding"] != "no limit" for finding in findings) else 0


def _records(book: LimitBook, when: int) -> Iterator[dict[str, Any]]:
    for source, limits in book.sources.items():
        for entry in limits.entries:
            rule = limits.rule(entry.name, when) if not entry.is_pattern else entry.at(when)
            assert rule is not None
            yield {"source": source, "parameter": entry.name, "from": _since(entry, when), **_record(rule)}


def _since(entry: Entry, when: int) -> str | None:
    begun = [date for date in entry.dates[1:] if date <= when]
    return moment(begun[-1]) if begun else None


def _record(rule: Rule) -> dict[str, Any]:
    persist = f"{rule.persist.samples} of {rule.persist.of or rule.persist.samples}"
    if rule.persist.seconds is not None:
        persist = f"{rule.persist.seconds:g} s"
    return {
        "mode": rule.mode,
        "unit": rule.unit,
        "commanded": rule.commanded,
        "performance": list(rule.warning),
        "safe": list(rule.error),
        "equal": list(rule.equal),
        "rate": None if rule.rate is None else _rate(rule.rate),
        "persist": persist,
        "stale_s": rule.stale_s,
        "stuck_s": rule.stuck_s,
        "rails": list(rule.rails),
        "when": None if rule.when is None else rule.when.model_dump(exclude_none=True),
        "envelope": None if rule.envelope is None else rule.envelope.model_dump(exclude_none=True),
        "severity": {name: rule.severity.of(name) for name in type(rule.severity).model_fields},
    }


def _rate(rate: RateSettings) -> dict[str, Any]:
    """As it is written, but below `rise` and `fall` all that holds in that direction; None: nothing."""
    said = rate.model_dump()
    for way in ("rise", "fall"):
        warning, error = rate.levels(way if rate.directed else "rate")
        said[way] = None if warning is error is None else {"warning": warning, "error": error}
    return said | {"directed": rate.directed}


def _show(records: list[dict[str, Any]]) -> None:
    add, done = printer(
        ("source", "parameter", "unit", "performance", "safe", "or", "persist", "stale", "when", "from")
    )
    for record in records:
        relative = ""
        if record["mode"] == "relative":
            commanded = "the table" if record["commanded"] is None else record["commanded"]
            relative = f" + {commanded:g}" if isinstance(commanded, float) else f" + {commanded}"
        add(
            record["source"],
            record["parameter"],
            record["unit"] or "",
            _range(record["performance"], relative),
            _range(record["safe"], relative),
            ", ".join(_others(record)),
            record["persist"],
            "" if record["stale_s"] is None else f"{record['stale_s']:g} s",
            _when(record["when"]),
            record["from"] or "",
        )
    done()


def _range(pair: list[float], relative: str) -> str:
    from services.housekeeping.limits.rule import OPEN, show_range

    return "" if tuple(pair) == OPEN else show_range((pair[0], pair[1])) + relative


def _others(record: dict[str, Any]) -> Iterator[str]:
    if record["equal"]:
        yield "= " + " or ".join(f"{word:g}" if isinstance(word, float) else word for word in record["equal"])
    if record["rate"]:
        rate = record["rate"]
        ways = [f"{way} {_levels(rate[way])}" for way in ("rise", "fall") if rate[way]]
        yield f"rate {', '.join(ways) if rate['directed'] else _levels(rate)} per {rate['per']}"
    if record["stuck_s"]:
        yield f"stuck {record['stuck_s']:g} s"
    if record["rails"]:
        yield f"rails {', '.join(f'{rail:g}' for rail in record['rails'])}"
    if record["envelope"]:
        yield f"envelope {record['envelope']['warning']:g} sigma"


def _levels(limits: dict[str, Any]) -> str:
    return " / ".join(f"{limits[level]:g}" for level in ("warning", "error") if limits[level])


def _when(when: dict[str, Any] | None) -> str:
    if when is None:
        return ""
    ends = [f"{sign} {when[key]:g}" for key, sign in (("above", ">"), ("below", "<")) if key in when]
    return f"{when['parameter']} {' and '.join(ends)}"


def _findings(book: LimitBook, recorded: list[Samples], when: int) -> Iterator[dict[str, Any]]:
    """Parameters without a limit, limits without a parameter, units that differ."""
    names: dict[str, dict[str, None]] = {}
    units: dict[str, dict[str, str]] = {}
    for samples in recorded:
        names.setdefault(samples.source, {}).update(dict.fromkeys((*samples.parameters, *samples.texts)))
        units.setdefault(samples.source, {}).update(samples.units)
    for source, parameters in names.items():
        limits = book.source(source)
        assert limits is not None
        for name in parameters:
            yield from _about(source, name, limits.rule(name, when), parameters)
        used = {entry.name for name in parameters if (entry := limits.entry(name)) is not None}
        for entry in limits.entries:
            if entry.name not in used:
                yield {"finding": "no parameter", "source": source, "parameter": entry.name}
        for mistake in book.unit_mistakes(source, units[source], when):
            yield {"finding": "other unit", "source": source, "message": mistake}


def _about(source: str, name: str, rule: Rule | None, parameters: Collection[str]) -> Iterator[dict[str, Any]]:
    if rule is None:
        yield {"finding": "no limit", "source": source, "parameter": name}
        return
    for helper in rule.helpers():
        if helper not in parameters:
            yield {"finding": "no parameter", "source": source, "parameter": helper, "wanted_by": name}
    if rule.mode == "relative" and rule.commanded is None:
        yield {"finding": "no commanded value", "source": source, "parameter": name}


def _words(finding: dict[str, Any]) -> str:
    name = f"{finding['source']}.{finding.get('parameter', '')}"
    if finding["finding"] == "other unit":
        return str(finding["message"])
    if finding["finding"] == "no parameter":
        wanted = f" (the limit of {finding['wanted_by']} looks at it)" if "wanted_by" in finding else ""
        return f"{name}: a limit without a parameter{wanted}"
    return f"{name}: {'no limit' if finding['finding'] == 'no limit' else 'no commanded value'}"
