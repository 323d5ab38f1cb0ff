"""`nightferry demo`: the whole chain on this host."""

from __future__ import annotations

import time
from pathlib import Path

import click

from services.cli.common import emit, json_option, say

EPILOG = """\b
Examples:
  nightferry demo
  nightferry demo --root /tmp/night --seed 7 --chaos
  nightferry demo /data/2022-01-26
  nightferry demo --influx http://127.0.0.1:8086/nightferry
\b
While it plays, from another terminal:
  nightferry night --watch -c demo-run/centre.yaml
  nightferry hk --watch -c demo-run/telescope.yaml"""


@click.command(epilog=EPILOG)
@click.argument("data", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path("demo-run"), show_default=True, help="Where to play it."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Which simulated night.")
@click.option("--pace", type=click.FloatRange(min=0), default=0.1, show_default=True, help="Pause between frames (s).")
@click.option("--timeout", type=click.FloatRange(min=1), default=240.0, show_default=True,
              help="Give up after (s); the pauses come on top.")  # fmt: skip
@click.option("--redis-url", default=None, help="A Redis of yours; otherwise a private one is started.")
@click.option("--chaos", is_flag=True, help="Kill every daemon once with SIGKILL while the night goes on.")
@click.option("--influx", metavar="URL", help="An InfluxDB 1.x that takes the metrics: http://host:port/DATABASE.")
@json_option
def demo(
    data: Path | None,
    root: Path,
    seed: int,
    pace: float,
    timeout: float,
    redis_url: str | None,
    chaos: bool,
    influx: str | None,
    as_json: bool,
) -> int:
    """Play a night through every real part: camera, watcher, link, receiver, Redis, workers.

    Without DATA the night is simulated; with DATA the frames of that directory are played, in the order of their
    names. The simulated camera's housekeeping has a CCD out of limits for a while: a person is mailed once, and told
    when it is over (the mails lie in ROOT/mail). Ends with a table, a report page, and an exit code that is 0 only if
    every frame is accounted for and verified, and that alert was told.
    """
    from services.demo.options import DemoOptions
    from services.demo.report import write_report
    from services.demo.run import play
    from services.demo.table import print_table

    started = time.monotonic()
    options = DemoOptions(
        root=root.absolute(),
        data=data.absolute() if data else None,
        seed=seed,
        pace_s=pace,
        timeout_s=timeout,
        redis_url=redis_url,
        chaos=chaos,
        influx=influx,
    )
    account = play(options, say)
    previews = sorted((options.root / "centre" / "products").rglob("*.png"))
    report = options.root / "report.html"
    write_report(report, account, previews)
    seconds = time.monotonic() - started
    if as_json:
        emit({"ok": not account.faults, "line": account.last_line, "seconds": round(seconds, 1), "report": str(report)})
    else:
        print_table(account)
        say(f"report: {report}   ({seconds:.0f} s)")
        click.echo(account.last_line)
    return 1 if account.faults else 0
