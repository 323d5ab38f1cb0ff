"""The ways out: a channel of the settings takes a message to an address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.alerts.channels.apprise_channel import mistake_in_url, send_by_apprise
from services.alerts.channels.errors import ChannelUnreachable
from services.alerts.channels.smstools import missing_directories, send_by_smstools, stuck_directories
from services.alerts.message import Message
from services.core.alert_settings import Channel
from services.core.errors import BadSettings

TIMEOUT_S: Final = 30.0


def send(channel: Channel, kind: str, address: str, message: Message, timeout_s: float = TIMEOUT_S) -> None:
    """Send one message; when this returns, the channel has taken it.

    Sending again after an error may double a message only where the other end took it and its answer was lost. With
    `message.key`, smstools recognises a message that it has sent already.

    Parameters
    ----------
    kind
        `mail` or `sms`: which form of the message, and which address of a person, it is.
    timeout_s : float
        Half of it bounds the connecting and each answer of a service; with smstools, how long the modem has for the
        message.

    Raises
    ------
    ChannelUnreachable
        Try another channel now and this one later.
    ChannelRefused
        Try another channel, and say so: it will be refused again. The reason of both holds no secret.
    """
    if channel.smstools is not None:
        send_by_smstools(channel.smstools, address, message, timeout_s)
        return
    try:
        url = channel.url.read() if channel.url is not None else ""
    except BadSettings as error:  # its file is being written anew, its disk is away: the message can wait for it
        raise ChannelUnreachable(str(error)) from None
    send_by_apprise(url, kind, address, message, timeout_s)


def mistakes_in_channel(channel: Channel) -> Iterator[str]:
    """What is wrong with a channel on this host, for `config check`; a secret that cannot be read is not told here."""
    if channel.smstools is not None:
        for path in missing_directories(channel.smstools):
            yield f"smstools: expected an existing directory that we may write to, got {path}"
        for path in stuck_directories(channel.smstools):
            yield f"smstools: what smsd has put into {path} we cannot take back: chmod -t {path}"
        return
    try:
        url = channel.url.read() if channel.url is not None else ""
    except BadSettings:
        return
    mistake = mistake_in_url(url, channel.kind)
    if mistake is not None:
        yield f"url: {mistake}"
