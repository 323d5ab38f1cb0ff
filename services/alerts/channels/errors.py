"""Errors of channels, named by what the queue of messages does next."""

from __future__ import annotations

from typing import ClassVar

from services.core.errors import ServiceError


class ChannelUnreachable(ServiceError):
    """Nobody at the other end has said yes or no: another channel now, this one later."""


class ChannelRefused(ServiceError):
    """The other end has said no to this message, this address or this login: another channel, and say so.

    The same message over the same channel would be refused again until somebody mends something.
    """

    exit_code: ClassVar[int] = 1
