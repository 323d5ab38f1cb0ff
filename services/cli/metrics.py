"""`nightferry metrics`: the daemon that drains the spool, and verbs to look into the spool."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli import daemons
from services.cli.common import emit, json_option, plural, say, tell
from services.cli.daemons import run_daemon

if TYPE_CHECKING:
    from services.core.metrics.drainage import Rejected
    from services.core.metrics.spool import Spool
    from services.core.settings import Settings

EPILOG = """\b
Examples:
  nightferry metrics -c /etc/nightferry/centre.yaml             (the daemon, as systemd runs it)
  nightferry metrics status -c centre.yaml
  nightferry metrics rejected -c centre.yaml
  nightferry metrics rejected --again -c centre.yaml            (after InfluxDB was mended)
  nightferry metrics drain -c centre.yaml                       (no daemon: until nothing waits)"""

STATUS_EPILOG = """\b
Examples:
  nightferry metrics status -c /etc/nightferry/centre.yaml
  nightferry metrics status --lines 5 --json -c centre.yaml"""

REJECTED_EPILOG = """\b
Examples:
  nightferry metrics rejected -c /etc/nightferry/centre.yaml
  nightferry metrics rejected --limit 0 --json -c centre.yaml   (all of them, one a line)
  nightferry metrics rejected --again 17 18 -c centre.yaml
  nightferry metrics rejected --drop -c centre.yaml"""

DRAIN_EPILOG = """\b
Examples:
  nightferry metrics drain -c /etc/nightferry/centre.yaml
  nightferry metrics drain --once -c centre.yaml                (one batch: does the server take it?)"""

_config = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="NIGHTFERRY_CONFIG",
    show_envvar=True,
    help="Settings of this host (YAML); `nightferry config check FILE` checks them.",
)


@click.group(epilog=EPILOG, invoke_without_command=True)
@_config
@click.pass_context
def metrics(ctx: click.Context, config: Path | None) -> None:
    """Drain the metrics spool into InfluxDB: the daemon. With a verb: look into the spool."""
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        from services.metrics_writer import drain_until_stopped

        run_daemon(
            "metrics",
            _given(ctx, None),
            "metrics",
            lambda daemon, settings, _, spool: drain_until_stopped(daemon, settings, spool),
        )


@metrics.command(epilog=STATUS_EPILOG)
@_config
@click.option("--lines", default=0, metavar="N", type=click.IntRange(min=0), help="Show the oldest N lines too.")
@json_option
@click.pass_context
def status(ctx: click.Context, config: Path | None, lines: int, as_json: bool) -> None:
    """Say what waits in the spool, and what was set aside."""
    from services.core.metrics.drainage import waiting_lines

    with _spool(_given(ctx, config)) as (settings, spool):
        waiting, rejected = spool.count()
        size, oldest = spool.size(), waiting_lines(spool, lines) if lines else []
    server = settings.metrics.influxdb
    record: dict[str, Any] = {
        "spool": str(settings.metrics_spool),
        "waiting": waiting,
        "bytes": size,
        "rejected": rejected,
        "keep_points": settings.metrics.keep_points,
        "keep_bytes": settings.metrics.keep_bytes,
        "version": server.version if server is not None else None,
        "url": server.url if server is not None else None,
    }
    if as_json:
        emit({**record, **({"lines": oldest} if lines else {})})
        return
    say(f"{settings.metrics_spool}: {plural(waiting, 'point')} waiting ({size / 1e6:.1f} MB), {rejected} set aside")
    full = max(waiting / settings.metrics.keep_points, size / settings.metrics.keep_bytes)
    say(
        f"room: {full:.1%} of {settings.metrics.keep_points:,} points and {settings.metrics.keep_bytes / 1e9:g} GB used"
    )
    say(f"drained into: {f'{server.url} (version {server.version})' if server is not None else 'nothing'}")
    for line in oldest:
        tell(line)


@metrics.command(epilog=REJECTED_EPILOG)
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
@_config
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=0), help="How many, newest first; 0: all."
)
@click.option("--again", is_flag=True, help="Put those named, or all, into the spool once more.")
@click.option("--drop", is_flag=True, help="Throw those named, or all, away.")
@json_option
@click.pass_context
def rejected(
    ctx: click.Context, ids: tuple[int, ...], config: Path | None, limit: int, again: bool, drop: bool, as_json: bool
) -> int:
    """List the points that the server refuses, with its reason; try them again, or throw them away.

    A list that is not empty exits with 1.
    """
    from services.core.metrics.drainage import rejected_points, settle_rejected

    if again and drop:
        raise click.UsageError("--again or --drop, not both")
    if ids and not (again or drop):
        raise click.UsageError("ID goes with --again or --drop")
    with _spool(_given(ctx, config)) as (_, spool):
        if again or drop:
            known = {point.id for point in rejected_points(spool)}
            unknown = sorted(set(ids) - known)
            if unknown:
                raise click.BadParameter(f"no such point: {', '.join(map(str, unknown))}", param_hint="ID")
            done = settle_rejected(spool, ids or sorted(known), again=again)
            if as_json:
                emit({"again" if again else "dropped": done})
            else:
                say(f"{plural(done, 'point')} {'wait in the spool once more' if again else 'thrown away'}")
            return 0
        points = rejected_points(spool, limit or -1)
        total = spool.count()[1]
    _show(points, total, as_json)
    return 1 if points else 0


def _show(points: list[Rejected], total: int, as_json: bool) -> None:
    for point in points:
        at = None if point.at is None else datetime.fromtimestamp(point.at, UTC).isoformat(timespec="seconds")
        if as_json:
            emit({"id": point.id, "at": at, "line": point.line, "reason": point.reason})
        else:
            tell(f"{point.id}  {at or 'earlier'}  {point.line}\n    {point.reason.strip()}")
    if not as_json:
        say(
            f"{plural(total, 'point')} set aside" + (f", the newest {len(points)} shown" if total > len(points) else "")
        )


@metrics.command(epilog=DRAIN_EPILOG)
@_config
@click.option("--once", is_flag=True, help="One batch only.")
@json_option
@click.pass_context
def drain(ctx: click.Context, config: Path | None, once: bool, as_json: bool) -> int:
    """Drain the spool without a daemon, until nothing waits; also while the daemon runs.

    Exits with 3 when the server does not take points now (they stay in the spool), with 1 when it refused some.
    """
    from services.core.metrics.drain import Drained, Drainer
    from services.core.metrics.influx import post_to
    from services.metrics_writer import server_of

    total = Drained()
    with _spool(_given(ctx, config)) as (settings, spool), contextlib.closing(post_to(server_of(settings))) as post:
        drainer = Drainer(spool, post, settings.metrics.batch_points)
        while (step := drainer.step()).points:
            total += step
            if once:
                break
        waiting = spool.count()[0]
    if as_json:
        emit({"delivered": total.points - total.rejected, "rejected": total.rejected, "waiting": waiting})
    else:
        delivered = plural(total.points - total.rejected, "point")
        say(f"{delivered} delivered, {total.rejected} set aside, {waiting} waiting")
    return 1 if total.rejected else 0


def _given(ctx: click.Context, config: Path | None) -> Path:
    """The settings file, named before the verb or after it."""
    found = config or ctx.obj or (daemons.SITE_FILE if daemons.SITE_FILE.is_file() else None)
    if found is None:
        raise click.UsageError("Missing option '-c' / '--config' (env var: 'NIGHTFERRY_CONFIG').", ctx)
    assert isinstance(found, Path)
    return found


@contextlib.contextmanager
def _spool(config: Path) -> Iterator[tuple[Settings, Spool]]:
    from services.core.log import set_up_logging
    from services.core.metrics.spool import open_spool
    from services.core.settings import load_settings

    settings = load_settings(config)
    set_up_logging(settings.log.model_copy(update={"level": "warning", "format": "console"}), sys.stderr)
    spool = open_spool(settings)
    try:
        yield settings, spool
    finally:
        spool.close()
