"""`nightferry keygen`: the key pair that signs a site's nights."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import say

EPILOG = """\b
Example (at the telescope, as root; deploy/install/install.sh has done it already):
  nightferry keygen /etc/nightferry/night_key --site summit && chown nightferry: /etc/nightferry/night_key"""


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--site", default="SITE", show_default=True, help="Name of the site, as in its settings file.")
def keygen(file: Path, site: str) -> int:
    """Make an ed25519 key pair: FILE (private, mode 0600) and FILE.pub. Nothing is ever overwritten."""
    from transfer.signature import fingerprint, write_key_pair

    file = file.absolute()
    try:
        key = write_key_pair(file, f"nightferry nights of {site}")
    except FileExistsError as error:
        raise click.UsageError(f"{error.filename} is there already; a key is never overwritten") from None
    say(f"{file}, {file}.pub: {fingerprint(key)}")
    say("In the settings of the telescope:")
    click.echo(f"night:\n  key_file: {file}")
    say(f"In the settings of the data centre, with {file.name}.pub copied there:")
    click.echo(f"receive:\n  night_keys:\n    {site}: /etc/nightferry/{site}.pub")
    return 0
