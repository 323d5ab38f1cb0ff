"""Mail, SMS and whatever else apprise speaks: one message through the service that an address names."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from services.alerts.channels.apprise_reasons import Capture, is_refusal
from services.alerts.channels.errors import ChannelRefused, ChannelUnreachable
from services.alerts.channels.redact import redact
from services.alerts.message import TREND_NAME, Message
from services.core.errors import BadSettings

_MAIL: Final = frozenset(("mailto", "mailtos"))
_PLACE: Final = "{to}"


def send_by_apprise(url: str, kind: str, address: str, message: Message, timeout_s: float) -> None:
    """Send `message` to `address` through the service of an apprise address in which `{to}` stands for the receiver.

    Half of `timeout_s` bounds the connecting, and half every single answer, unless the address itself says so (`cto`,
    `rto`).

    Raises
    ------
    ChannelRefused
        The service said no, or the address makes no sense.
    ChannelUnreachable
        No answer, an answer that says "later", or a server whose certificate does not fit.
    """
    with Capture() as log:
        service = _service(url, kind, address, timeout_s)
        sent = service is not None and service.notify(**_content(service, kind, message))
    if sent:
        return
    reason = redact(log.reason, url, address)
    if service is None:
        raise ChannelRefused(f"apprise does not understand the address: {reason}")
    raise (ChannelRefused if is_refusal(log.reason) else ChannelUnreachable)(reason)


def mistake_in_url(url: str, kind: str) -> str | None:
    """What is wrong with a channel's address, without secrets; None when apprise understands it."""
    address = "somebody@example.org" if kind == "mail" else "+56912345678"
    try:
        with Capture() as log:
            service = _service(url, kind, address, 1.0)
    except ChannelRefused as error:
        return str(error)
    except BadSettings as error:
        return str(error)
    return None if service is not None else f"apprise does not understand it: {redact(log.reason, url, address)}"


def _service(url: str, kind: str, address: str, timeout_s: float) -> Any:
    apprise = _apprise()
    scheme = url.split(":", 1)[0].lower()
    if _PLACE not in url and (kind == "sms" or scheme in _MAIL):
        raise ChannelRefused(f"the channel's address has no {_PLACE}: the message would go to nobody, or to the sender")
    if not re.fullmatch(r"\+?\d{5,15}" if kind == "sms" else r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", address):
        raise ChannelRefused(f"the person's address is none for {kind}")
    full = url.replace(_PLACE, quote(address, safe=""))
    options = {
        "cto": f"{timeout_s / 2:g}",
        "rto": f"{timeout_s / 2:g}",
        **({"inline": "yes"} if scheme in _MAIL else {}),
    }
    said = parse_qs(urlsplit(full).query)
    missing = [f"{key}={value}" for key, value in options.items() if key not in said]
    full += "".join(("&" if "?" in full or index else "?") + option for index, option in enumerate(missing))
    asset = apprise.AppriseAsset(app_id="nightferry", app_desc="nightferry", async_mode=False)
    service = apprise.Apprise.instantiate(full, asset=asset, suppress_exceptions=True)
    if scheme in _MAIL and service is not None and [to.lower() for _, to in service.targets] != [address.lower()]:
        raise ChannelRefused("apprise reads another receiver out of the person's address")
    return service


@lru_cache(maxsize=1)
def _apprise() -> Any:
    """The library with all its services, loaded when the first message leaves (about a second)."""
    try:
        # Deprecations inside its hundred plug-ins are not ours to see.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise

            apprise.Apprise.instantiate("json://localhost")
    except ImportError:
        raise BadSettings(("messages need apprise: install nightferry[alerts]",)) from None
    return apprise


def _content(service: Any, kind: str, message: Message) -> dict[str, Any]:
    from apprise import AppriseAttachment, NotifyFormat
    from apprise.attachment import memory

    if kind == "sms":
        return {"body": message.sms, "body_format": NotifyFormat.TEXT}
    headers = getattr(service, "headers", None)
    if isinstance(headers, dict) and message.key:
        headers["X-Nightferry-Key"] = re.sub(r"[^\x21-\x7e]", "_", message.key)
    content: dict[str, Any] = {"title": message.subject, "body": message.html, "body_format": NotifyFormat.HTML}
    if service.resolve_format(NotifyFormat.HTML) != NotifyFormat.HTML:
        content |= {"body": message.text, "body_format": NotifyFormat.TEXT}
    if message.png is not None and service.attachment_support:
        kit: Any = memory  # it has no types
        picture = kit.AttachMemory(content=message.png, name=TREND_NAME, mimetype="image/png")
        content["attach"] = AppriseAttachment(picture)
    return content
