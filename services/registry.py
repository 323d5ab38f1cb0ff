"""Masters as persons speak of them: found by path, name or sha256, verified, registered, lent to another night."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from services.core.errors import ServiceError
from services.core.ledger import centre, registry
from services.core.ledger.engine import Ledger, now
from services.core.ledger.registry import StoredMaster
from services.core.settings import Settings
from transfer import durable
from transfer.checksum import measure, sha256_file
from transfer.structure import scan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from processors.instrument import Instruments
    from processors.masters.build import Master


_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9._+-]")
_LONGEST_STEM: Final = 120
_PRODUCTION: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class NoSuchMaster(ServiceError):
    """No master on record (or more than one) goes by this name: say it by its path or more of its sha256."""

    exit_code: ClassVar[int] = 1


class BadMaster(ServiceError):
    """The file is no master that could be used, or not the one on record: build it again."""

    exit_code: ClassVar[int] = 4


@dataclass(frozen=True)
class Lent:
    """A master of one night and whether it was lent to another; `why` says what was decided."""

    master: StoredMaster
    lent: bool
    why: str


def production_of(settings: Settings, asked: str | None) -> str:
    """The production that a verb is about."""
    if asked is not None:
        if not _PRODUCTION.fullmatch(asked):
            raise NoSuchMaster(f"{asked!r} is no name of a production")
        return asked
    return "live" if settings.conduct is None else settings.conduct.production


def find_master(conn: Connection, production: str, text: str) -> StoredMaster:
    """The one master that a person means by a path, a name, or 6 or more digits of a sha256.

    Raises
    ------
    NoSuchMaster
        There is none, or more than one.
    """
    found = registry.find_masters(conn, production, text)
    if not found and Path(text).is_file():
        found = registry.find_masters(conn, production, sha256_file(Path(text)))
    if not found:
        raise NoSuchMaster(f"{text}: no such master on record in production {production}")
    if len(found) > 1:
        names = "; ".join(f"{master.sha256[:12]} {master.path}" for master in found)
        raise NoSuchMaster(f"{text} may be any of {names}")
    return found[0]


def verified(master: StoredMaster) -> StoredMaster:
    """A master whose file is what the record says (`BadMaster` when it is not)."""
    path = Path(master.path)
    if not path.is_file():
        raise BadMaster(f"{path} is gone: put back the file with sha256 {master.sha256}, or decertify it")
    if sha256_file(path) != master.sha256:
        raise BadMaster(f"{path} is not what was recorded, its sha256 is another: put back {master.sha256}")
    return master


def register(settings: Settings, ledger: Ledger, path: Path, production: str) -> StoredMaster:
    """Take a master from outside of the daemons on record; what is on record already stays as it is.

    The file is verified and copied below `work.products_dir`, so that nobody who builds it again overwrites what
    reductions use; without a `work` section it is used where it lies.

    Raises
    ------
    BadMaster
        It is none, its checksums are wrong, or reduction could not use it.
    """
    from processors.instrument import load_instruments

    master = _read(path, load_instruments(settings.instruments_dirs))
    key = master.key
    kept = path.absolute()
    if settings.work is not None:
        directory = settings.work.products_dir / production / key.instrument / key.night
        stem = _UNPLAIN.sub("-", path.stem)[:_LONGEST_STEM]
        kept = directory / f"{stem}-{master.sha256[:8]}.fits"
        _copy(path, kept, master.sha256)
    row: dict[str, Any] = {
        "sha256": master.sha256,
        "path": str(kept),
        "kind": key.kind,
        "production": production,
        "night": key.night,
        "date_obs": master.date_obs,
        "key": asdict(key),
        "temperature_c": master.temperature_c,
        "created_at": now(),
    }
    with ledger.begin() as conn:
        if registry.add_outside_master(conn, row):
            inputs = {given.sha256: given.role for given in master.inputs}
            made_from = [{"sha256": sha256, "role": role} for sha256, role in sorted(inputs.items())]
            centre.set_made_from(conn, str(kept), made_from)
        return find_master(conn, production, master.sha256)


def lend(
    ledger: Ledger,
    production: str,
    source: str,
    target: str,
    *,
    kinds: Collection[str] = (),
    instrument: str | None = None,
    over: bool = False,
) -> list[Lent]:
    """Certify what a night is calibrated with for another night, and take it from none.

    These are the masters certified for the night, and where there are none the night's own. What the other night has a
    master of its own for is left out, unless `over`. Their files are verified (`BadMaster`).

    Parameters
    ----------
    kinds, instrument
        Only these; all where nothing is said.
    """
    with ledger.read() as conn:
        found = registry.masters_of(conn, production, target, target)
        offered = registry.masters_of(conn, production, source, source)
    there = {_slot(master) for master in found if _own(master, target)}
    usable = [
        master
        for master in offered
        if not master.withdrawn
        and (not kinds or master.kind in kinds)
        and instrument in (None, master.key["instrument"])
    ]
    certified = [master for master in usable if _certified(master, source)]
    named = {_slot(master) for master in certified}
    own = [m for m in usable if _own(m, source) and _slot(m) not in named and all(c.copied for c in m.certified)]
    chosen = sorted([*certified, *own], key=lambda m: (_slot(m), m.sha256))
    refused = {master.sha256 for master in chosen if _slot(master) in there and not over}
    for master in chosen:
        if master.sha256 not in refused:
            verified(master)  # may take long: nobody waits for the ledger meanwhile
    result = []
    with ledger.begin() as conn:
        for master in chosen:
            if master.sha256 in refused:
                result.append(Lent(master, False, f"{target} has its own"))
            elif registry.certify(conn, master, target, target, now(), copied=True) is None:
                gone = not registry.in_use(conn, production, [master.sha256])
                why = "withdrawn meanwhile" if gone else f"certified for {target} already"
                result.append(Lent(master, False, why))
            else:
                result.append(Lent(master, True, f"lent to {target}"))
    return result


def _slot(master: StoredMaster) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in master.key.items() if name != "night"))


def _own(master: StoredMaster, night: str) -> bool:
    return master.night == night and not master.withdrawn


def _certified(master: StoredMaster, night: str) -> bool:
    return any(said.first <= night <= said.last for said in master.certified)


def _read(path: Path, instruments: Instruments) -> Master:
    from processors.errors import ProcessorError
    from processors.masters.build import read_master
    from processors.masters.sound import ensure_sound
    from transfer.errors import TransferError

    try:
        layout = scan(path)
        meter = measure(path, layout)
        for span, datasum in zip(layout.hdus, meter.datasums, strict=True):
            if span.datasum_card not in (None, datasum):
                raise BadMaster(f"{path}: the DATASUM of HDU {span.index} is wrong")
        master = read_master(path, meter.sha256)
        instruments.named(master.key.instrument)  # and so its name is one of ours, and no path to elsewhere
        ensure_sound(master)
    except (ProcessorError, TransferError) as error:
        raise BadMaster(f"{path}: {error}") from error
    if master.key.kind == "superflat" and any(given.role == "flat" for given in master.inputs):
        raise BadMaster(f"{path}: a superflat made with a flat holds only what that flat has left over")
    return master


def _copy(path: Path, target: Path, sha256: str) -> None:
    durable.make_dirs(target.parent)
    tmp = durable.temporary(target)
    try:
        with durable.space_checked(target):
            shutil.copyfile(path, tmp)
        if sha256_file(tmp) != sha256:
            raise BadMaster(f"{path} has changed while it was read")
        durable.publish(tmp, target)
    finally:
        tmp.unlink(missing_ok=True)
