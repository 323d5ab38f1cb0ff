"""Reasons that can be shown: what a channel's address keeps secret, and the person's own address, are taken out."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_OPEN: Final = frozenset(
    ("from", "name", "smtp", "mode", "format", "verify", "cto", "rto", "inline", "region", "reply", "priority", "tags")
)
_REASON_LENGTH: Final = 300


def secrets_of(url: str) -> frozenset[str]:
    """Every piece of an apprise address that could be a secret, as it is written and unquoted.

    That is all but the scheme, a host with a dot in its name, and options known to be harmless: services hide tokens
    in any place of their address.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return frozenset((url,))
    place, _, host = parts.netloc.rpartition("@")
    user, _, password = place.partition(":")
    pieces = {piece for piece in (user, *parts.path.split("/"), parts.fragment) if len(piece) >= 4}
    pieces |= {value for key, value in parse_qsl(parts.query) if key.lower() not in _OPEN and len(value) >= 4}
    host = host.rsplit(":", 1)[0] if re.search(r":\d*$", host) else host
    if "." not in host and host != "localhost" and len(host) >= 4:
        pieces.add(host)
    if password:
        pieces.add(password)
    return frozenset(form for piece in pieces for form in (piece, unquote(piece)) if form and "{to}" not in form)


def redact(text: str, url: str, address: str) -> str:
    """A reason of one line, at most 300 characters, without secrets and without the person's address."""
    hidden = {**dict.fromkeys(secrets_of(url), "<secret>"), **dict.fromkeys(_forms(address), "<address>")}
    hidden[url] = "<secret>"
    # The longest first, in one pass: a piece of a secret must not break up the whole of it.
    words = sorted((word for word in hidden if word), key=len, reverse=True)
    clean = re.sub("|".join(map(re.escape, words)), lambda match: hidden[match[0]], text) if words else text
    clean = " ".join("".join(char if char.isprintable() else " " for char in clean).split())
    return clean if len(clean) <= _REASON_LENGTH else clean[: _REASON_LENGTH - 1] + "…"


def _forms(address: str) -> tuple[str, ...]:
    digits = address.removeprefix("+")
    return (address, digits) if digits.isdigit() else (address,)
