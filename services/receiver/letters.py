"""Night manifests as they lie in the inbox: untrusted until the signature says otherwise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.nights.hashing import NotRegular, open_regular
from transfer.documents import MAX_DOCUMENT
from transfer.durable import make_dirs, move, write_whole
from transfer.errors import BadDocument, Corrupt
from transfer.night import NightManifest, parse_stem
from transfer.signature import load_public, open_signed


@dataclass(frozen=True)
class Letter:
    """A night manifest in the inbox; `refusal` says why it is none that can be believed."""

    path: Path
    sha256: str
    document: str
    manifest: NightManifest | None
    refusal: str | None

    @property
    def order(self) -> tuple[float, str]:
        """Where it stands in the chain: by the time at which it was written."""
        return 0.0 if self.manifest is None else self.manifest.created.timestamp(), self.path.name


def read_letter(path: Path, keys: Mapping[str, Path]) -> Letter:
    """Read a night manifest.

    Parameters
    ----------
    keys
        File of the public key of every site.

    Raises
    ------
    OSError
        The disk does not answer, or the file is gone.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_DOCUMENT + 1)
    except NotRegular as error:
        return Letter(path, "", "", None, str(error.strerror))
    sha256 = hashlib.sha256(data).hexdigest()
    if len(data) > MAX_DOCUMENT:
        return Letter(path, sha256, "", None, f"larger than {MAX_DOCUMENT} bytes")
    named = parse_stem(path.stem)
    if named is None:
        return Letter(path, sha256, "", None, "not named SITE-NIGHT-REVISION.night")
    site = named[0]
    if site not in keys:
        return Letter(path, sha256, "", None, f"no key of site {site} in the settings (receive.night_keys)")
    try:
        manifest = NightManifest.from_json(open_signed(data, load_public(keys[site])))
    except (BadDocument, Corrupt) as error:
        return Letter(path, sha256, "", None, str(error))
    if (manifest.site, manifest.night, manifest.revision) != named:
        return Letter(path, sha256, "", None, f"it is {manifest.stem}, not what its file is called")
    return Letter(path, sha256, data.decode(), manifest, None)


def quarantine(root: Path, letter: Letter, reason: str) -> None:
    """Set a bad file aside, with the reason beside it; the same bad file again takes the same place."""
    mark = letter.sha256[:8] or f"irregular-{time.time_ns()}"
    directory = root / "quarantine" / f"{letter.path.name}~{mark}"
    make_dirs(directory)
    write_whole(directory / "reason.txt", f"{reason}\n".encode())
    move(letter.path, directory / letter.path.name)
