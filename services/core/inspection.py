"""What `config check` looks at beyond the settings' own rules: things on this host that the file speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from sqlalchemy import make_url

from services.core.errors import BadSettings
from services.core.filesystem import is_network
from services.core.route_settings import RouteSettings
from services.core.secret import Secret
from services.core.settings import Settings, load_settings
from services.core.tls import context_of
from services.core.tls_settings import TlsFiles
from transfer.errors import BadDocument
from transfer.signature import load_public


def mistakes_of(file: Path) -> tuple[str, ...]:
    """Every mistake in a settings file, each with its place; empty when it is good."""
    try:
        settings = load_settings(file)
    except BadSettings as error:
        return error.mistakes
    return tuple(f"{file}: {mistake}" for mistake in _on_this_host(settings))


def _on_this_host(settings: Settings) -> Iterator[str]:
    for place, secret in _secrets(settings):
        try:
            secret.read()
        except BadSettings as error:
            yield f"{place}: {error}"
    yield from _certificates(settings)
    for name, route in settings.routes.items():
        yield from _route(name, route)
    if settings.watch is not None:
        for index, directory in enumerate(settings.watch.dirs):
            if not directory.is_dir():
                yield f"watch.dirs.{index}: expected an existing directory, got {directory}"
    yield from _housekeeping(settings)
    yield from _keys(settings)
    yield from _conditions(settings)
    yield from _instruments(settings)
    yield from _ledger(settings)


def _housekeeping(settings: Settings) -> Iterator[str]:
    if settings.housekeep is None:
        return
    for name, source in settings.housekeep.sources.items():
        directory = getattr(source, "dir", None)
        if directory is not None and not directory.is_dir():
            yield f"housekeep.sources.{name}.dir: expected an existing directory, got {directory}"
    limits = settings.housekeep.limits
    if limits is not None and not limits.is_file():
        yield f"housekeep.limits: expected an existing file, got {limits} (then: nightferry limits check {limits})"


def _certificates(settings: Settings) -> Iterator[str]:
    """Files of TLS: an authority's certificate, or our own."""
    sections: dict[str, object] = {"metrics.influxdb": settings.metrics.influxdb}
    if settings.housekeep is not None:
        sections |= {f"housekeep.sources.{name}": source for name, source in settings.housekeep.sources.items()}
    for place, section in sections.items():
        if not isinstance(section, TlsFiles):
            continue
        try:
            context_of(section)
        except BadSettings as error:
            yield f"{place}.{error}"
        key_file = section.key_file
        if key_file is not None and key_file.is_file() and key_file.stat().st_mode & 0o077:
            yield f"{place}.key_file: other users can read {key_file}: chmod 600"


def _keys(settings: Settings) -> Iterator[str]:
    if settings.night is not None:
        path = settings.night.key_file
        if not path.is_file():
            yield f"night.key_file: expected an existing file, got {path} (make one: nightferry keygen {path})"
        elif path.stat().st_mode & 0o077:
            yield f"night.key_file: other users can read {path}: chmod 600"
    for site, path in settings.receive.night_keys.items() if settings.receive is not None else ():
        try:
            load_public(path)
        except BadDocument as error:
            yield f"receive.night_keys.{site}: {error} (give the .pub file of the telescope's keygen)"


def open_secrets(file: Path) -> tuple[str, ...]:
    """A line for every file with a secret that any user of this host can read; none where the settings are not good."""
    try:
        settings = load_settings(file)
    except BadSettings:
        return ()
    return tuple(
        f"{file}: {place}: any user of this host can read {secret.file}: chmod 600, and the service's user as owner"
        for place, secret in _secrets(settings)
        if secret.file is not None and secret.file.is_file() and secret.file.stat().st_mode & 0o007
    )


def _secrets(settings: Settings) -> Iterator[tuple[str, Secret]]:
    if settings.ledger.password is not None:
        yield "ledger.password", settings.ledger.password
    if settings.redis is not None and settings.redis.password is not None:
        yield "redis.password", settings.redis.password
    if settings.metrics.influxdb is not None:
        for key, named in settings.metrics.influxdb.secrets.items():
            yield f"metrics.influxdb.{key}", named
    yield from _secrets_of_sources(settings)
    for name, channel in settings.alerts.channels.items() if settings.alerts is not None else ():
        if channel.url is not None:
            yield f"alerts.channels.{name}.url", channel.url
    heartbeat = settings.conditions.heartbeat
    if heartbeat is not None and heartbeat.url is not None:
        yield "conditions.heartbeat.url", heartbeat.url


def _secrets_of_sources(settings: Settings) -> Iterator[tuple[str, Secret]]:
    for name, source in settings.housekeep.sources.items() if settings.housekeep is not None else ():
        for key in ("password", "token"):
            secret = getattr(source, key, None)
            if isinstance(secret, Secret):
                yield f"housekeep.sources.{name}.{key}", secret


def _route(name: str, route: RouteSettings) -> Iterator[str]:
    place = Path(urlsplit(route.url).path)
    if route.url.startswith("file:") and not place.is_dir():
        yield f"routes.{name}.url: expected an existing directory, got {place} (is the disk mounted?)"
    for key, path in (("key_file", route.key_file), ("known_hosts", route.known_hosts)):
        if path is not None and not path.is_file():
            yield f"routes.{name}.{key}: expected an existing file, got {path}"
    if route.key_file is not None and route.key_file.is_file() and route.key_file.stat().st_mode & 0o077:
        yield f"routes.{name}.key_file: other users can read {route.key_file}: chmod 600"


def _conditions(settings: Settings) -> Iterator[str]:
    no_frame, daemons = settings.conditions.no_frame, settings.conditions.daemons
    if no_frame is not None and no_frame.plan is not None and not no_frame.plan.is_file():
        yield f"conditions.no_frame.plan: expected an existing file, got {no_frame.plan}"
    sections = {"ship": "routes", "housekeep": "housekeep", "notify": "alerts"}
    for name in daemons.expect if daemons is not None else ():
        section = sections.get(name, name)
        if not getattr(settings, section):
            yield f"conditions.daemons.expect: {name} cannot run here: the section '{section}' is missing"


def _instruments(settings: Settings) -> Iterator[str]:
    from processors.errors import BadInstrument
    from processors.instrument import Obstype, load_instruments

    try:
        known = load_instruments(settings.instruments_dirs)
    except BadInstrument as error:
        yield from (f"instruments_dirs: {line}" for line in str(error).splitlines())
        return
    words = {"obstype": get_args(Obstype), "instrument": [instrument.name for instrument in known.known]}
    for name, route in settings.routes.items():
        yield from _matches(f"routes.{name}", route, words)


def _matches(place: str, route: RouteSettings, words: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Patterns of words that are a closed list, and that none of the list fits: a slip of the pen drops frames."""
    matches = {f"{place}.priority.{index}": match for index, match in enumerate(route.priority)}
    if route.filter is not None:
        matches[f"{place}.filter"] = route.filter
    for where, match in matches.items():
        for key, known in words.items():
            for pattern in getattr(match, key):
                if not any(fnmatchcase(word.casefold(), pattern.casefold()) for word in known):
                    yield f"{where}.{key}: {pattern!r} fits none of {', '.join(known)}"


def _ledger(settings: Settings) -> Iterator[str]:
    url = make_url(settings.ledger.url)
    if url.drivername.startswith("sqlite") and is_network(Path(str(url.database))):
        yield (
            f"ledger.url: {url.database} lies on a network file system, where SQLite loses locks; "
            "use a local disk, or postgresql://…"
        )
