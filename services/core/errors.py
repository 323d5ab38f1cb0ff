"""Errors of the services, named by the next move of whoever sees them."""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A daemon or a verb cannot go on."""

    exit_code: ClassVar[int] = 3


class BadSettings(ServiceError):
    """The settings file is wrong: every mistake is in the message; mend it before any daemon starts."""

    exit_code = 2

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class LedgerUnreachable(ServiceError):
    """The ledger's database does not answer, or its schema is newer than this program."""


class LeaseLost(ServiceError):
    """The task was given to another worker while this one was away: give up and leave no trace, its word counts."""


class RedisUnreachable(ServiceError):
    """Redis does not answer; nothing is lost, the sweep enqueues again when it is back."""


class IllegalMove(ServiceError):
    """A state change that the table of allowed moves does not hold: a defect, or two daemons doing one job."""

    exit_code = 4
