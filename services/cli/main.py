"""The `nightferry` command: finds the verb, loads only its module, and turns errors into one line and an exit code."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import sys
from typing import Final

import click

# verb -> (module below services.cli, one line of help); a verb's module is imported only when the verb is used
VERBS: Final[dict[str, tuple[str, str]]] = {
    "affected": ("affected", "List every product that was made with a master."),
    "alerts": ("alerts", "List, acknowledge, mute and test alerts."),
    "audit": ("audit", "Prove that every frame of a night arrived as it was taken."),
    "build-master": ("build_master", "Combine calibration frames into a master; no daemon needed."),
    "certify": ("certify", "Declare a master valid for a range of nights."),
    "characterise": ("characterise", "Measure what a detector is like, on frames of a test."),
    "check": ("check", "Check raw frames against the limits of their instrument."),
    "conduct": ("daemons", "Daemon: decide what is ready, and put it into the queues."),
    "config": ("config", "Work with the settings file of a host."),
    "copycals": ("copycals", "Let a night without calibrations use those of another."),
    "decertify": ("certify", "Withdraw a master, or take its certification back."),
    "demo": ("demo", "Play a night through the whole chain on this host."),
    "endofnight": ("endofnight", "Close a night: reconcile, sign, have it verified."),
    "hk": ("hk", "Watch the last values of housekeeping against their limits."),
    "housekeep": ("housekeep", "Daemon: follow housekeeping, judge it by its limits, raise alerts."),
    "identify": ("identify", "Say what raw frames are."),
    "keygen": ("keygen", "Make the key pair that signs a site's nights."),
    "limits": ("limits", "Check limits of housekeeping, and replay them over recorded data."),
    "metrics": ("metrics", "Daemon: drain the metrics spool into InfluxDB; look into the spool."),
    "night": ("night", "Watch the exposure log, the queues, alerts and daemons."),
    "notify": ("notify", "Daemon: tell people of alerts by mail and SMS."),
    "pack": ("pack", "Pack files into a bundle with its manifest."),
    "receive": ("daemons", "Daemon: verify what arrives, file it, answer with a receipt."),
    "reduce": ("reduce", "Reduce frames with the calibrations among them; no daemon needed."),
    "retry": ("retry", "Try again what the daemons gave up."),
    "route": ("route", "Show the routes, and change them while running."),
    "ship": ("daemons", "Daemon: ship the outbox of every route."),
    "simulate": ("simulate", "Write a believable night of frames."),
    "status": ("status", "Say where every frame and task is."),
    "unpack": ("unpack", "Restore the files of bundles."),
    "watch": ("daemons", "Daemon: watch the camera's disk, pack every whole frame."),
    "wcs": ("wcs", "Check, fit or convert the solutions of images on the sky."),
    "work": ("daemons", "Daemon: work on the queues."),
}

EPILOG = """\b
Examples:
  nightferry identify night/*.fits --json
  nightferry simulate /tmp/night --instrument simcam --seed 7
  nightferry reduce night/*.fits -o products
  nightferry config check /etc/nightferry/summit.yaml
\b
Shell completion:
  eval "$(_NIGHTFERRY_COMPLETE=bash_source nightferry)"     (also zsh_source, fish_source)
\b
Exit codes: 0 good, 1 the thing asked about is bad, 2 usage or configuration,
3 a part is unreachable, 4 bad data."""


# Imports make hundreds of thousands of objects that stay: to look through them at every 700th costs a tenth of a start.
_COLLECT_EVERY: Final = 10_000


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are used: `nightferry watch` never loads what reduces frames."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"services.cli.{VERBS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(verb, help_line) for verb, (_, help_line) in VERBS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.metadata.version("nightferry"), prog_name="nightferry")
def cli() -> None:
    """Ferry a night's raw frames to the data centre, check them, reduce them, and say when something is wrong."""


def main() -> None:
    """Run the command line; any named error becomes one line on standard error and its class's exit code."""
    gc.set_threshold(_COLLECT_EVERY)
    try:
        _run()
    finally:
        # The interpreter ends at once, instead of collecting module by module for a quarter of a second (a worker: for
        # most of one). What was opened is closed by then, as every `with` and `finally` is left; exit handlers run.
        gc.freeze()


def _run() -> None:
    from services.cli.common import exit_code_of

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        # A person gets a line for a named error; a traceback is for our own defects only.
        code = exit_code_of(error)
        if code is None:
            raise
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        for line in text.splitlines() or [type(error).__name__]:
            click.echo(f"nightferry: {line}", err=True)
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
