"""The `nightferry` command: finds the verb, loads only its module, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import Final

import click

# verb -> module below services.cli that holds a click command named `command`
VERBS: Final[dict[str, str]] = {
    "check": "check",
    "conduct": "daemons",
    "config": "config",
    "demo": "demo",
    "identify": "identify",
    "pack": "pack",
    "receive": "daemons",
    "reduce": "reduce",
    "ship": "daemons",
    "simulate": "simulate",
    "status": "status",
    "unpack": "unpack",
    "watch": "daemons",
    "work": "daemons",
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


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are used: `nightferry watch` never loads what reduces frames."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"services.cli.{VERBS[cmd_name]}")
        command = getattr(module, cmd_name, None) or module.command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.metadata.version("nightferry"), prog_name="nightferry")
def cli() -> None:
    """Ferry a night's raw frames to the data centre, check them, reduce them, and say when something is wrong."""


def main() -> None:
    """Run the command line; any named error becomes one line on standard error and its class's exit code."""
    from services.cli.common import exit_code_of, one_line

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a line, never a traceback, for a named error
        code = exit_code_of(error)
        if code is None:
            raise
        click.echo(f"nightferry: {one_line(error)}", err=True)
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)
