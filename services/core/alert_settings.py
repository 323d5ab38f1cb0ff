"""Settings of alerts: channels, people, who is on call, when a message is repeated, escalated, held."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from services.core.secret import AbsolutePath, Secret, Section
from services.core.setting_types import Name, PositiveSeconds, TimeZone

Kind = Literal["mail", "sms"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

REPEAT_S: Final[Mapping[int, float]] = {1: 14_400.0, 2: 900.0}


def _hours(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("expected hours of the day, 'HH:MM-HH:MM' in quotes (they may span midnight)")
    return text


def _mail(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", text):
        raise ValueError("expected one e-mail address, name@host")
    return text


def _phone(text: str) -> str:
    if not re.fullmatch(r"\+[1-9]\d{5,14}", text):
        raise ValueError("expected a phone number in quotes with + and the country's code, digits only")
    return text


def _link(url: str) -> str:
    if not re.match(r"https?://[^/\s]", url):
        raise ValueError("expected http://… or https://…")
    return url


HoursOfDay = Annotated[str, AfterValidator(_hours)]


class Channel(Section):
    """One way out: an apprise address (`{to}` stands for the receiver), or the spool directory of smstools."""

    kind: Kind
    url: Secret | None = None
    smstools: AbsolutePath | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Channel:
        if (self.url is None) == (self.smstools is None):
            raise ValueError("expected exactly one of 'url' and 'smstools'")
        if self.smstools is not None and self.kind != "sms":
            raise ValueError("'smstools' sends SMS: expected kind sms")
        return self


class Person(Section):
    """A person and where they are reached."""

    mail: Annotated[str, AfterValidator(_mail)] | None = None
    sms: Annotated[str, AfterValidator(_phone)] | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Person:
        if self.mail is None and self.sms is None:
            raise ValueError("expected at least one of 'mail' and 'sms'")
        return self

    def address(self, kind: str) -> str | None:
        """The address for a kind of channel, or None."""
        return self.mail if kind == "mail" else self.sms


class Shift(Section):
    """Who is called, in which order, for some dates, days of the week and hours of the day.

    Dates and days are those on which the hours begin: with `hours: "18:00-08:00"` the night that begins on a Friday
    belongs to `fri` until Saturday 08:00. What is left out holds always.
    """

    first: dt.date | None = Field(default=None, alias="from")
    last: dt.date | None = Field(default=None, alias="to")
    days: tuple[Day, ...] = ()
    hours: HoursOfDay | None = None
    chain: Annotated[tuple[Name, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Shift:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"'to' ({self.last}) lies before 'from' ({self.first})")
        return self


class OnCall(Section):
    """Who is on call: the first shift that holds, else the default chain. A chain is the order of escalation."""

    time_zone: TimeZone = "UTC"
    default: Annotated[tuple[Name, ...], Field(min_length=1)]
    shifts: tuple[Shift, ...] = ()
    quiet_hours: HoursOfDay | None = None  # severity 1 waits until they are over


class AlertSettings(Section):
    """Who hears of alerts, how, and how often."""

    dashboard_url: Annotated[str, AfterValidator(_link)] | None = None
    templates: AbsolutePath | None = None  # a directory of texts of the site's own
    channels: Annotated[dict[Name, Channel], Field(min_length=1)]  # in the order of failover within a kind
    people: Annotated[dict[Name, Person], Field(min_length=1)]
    oncall: OnCall
    poll_s: PositiveSeconds = 5.0
    group_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    group_more_than: Annotated[int, Field(ge=0, le=1000)] = 3
    group_max_s: PositiveSeconds = 300.0
    repeat_s: dict[Literal[1, 2], PositiveSeconds] = Field(default_factory=dict)
    escalate_after_s: PositiveSeconds = 900.0
    resolve_messages: bool = True
    flap_count: Annotated[int, Field(ge=2, le=30)] = 3
    flap_window_s: PositiveSeconds = 1800.0
    send_timeout_s: PositiveSeconds = 30.0
    retry_s: PositiveSeconds = 10.0
    retry_max_s: PositiveSeconds = 300.0
    give_up_s: PositiveSeconds = 86_400.0
    ledger_patience_s: PositiveSeconds = 60.0
    keep_days: Annotated[int, Field(ge=7, le=3650)] = 730

    @model_validator(mode="after")
    def _people_fit(self) -> AlertSettings:
        mistakes = [*self._strangers(), *self._unreachable()]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    def repeat_after_s(self, severity: int) -> float:
        """How long after the last message a person is told again."""
        grade: Literal[1, 2] = 2 if severity >= 2 else 1
        return self.repeat_s.get(grade, REPEAT_S[grade])

    def channels_of(self, kind: str) -> dict[str, Channel]:
        """Channels of a kind, the first choice first."""
        return {name: channel for name, channel in self.channels.items() if channel.kind == kind}

    def kinds_of(self, person: str) -> tuple[Kind, ...]:
        """Kinds by which a person can be reached: an address, and a channel for it. Mail stands first."""
        known = self.people.get(person)
        kinds: tuple[Kind, ...] = ("mail", "sms")
        return tuple(kind for kind in kinds if known and known.address(kind) and self.channels_of(kind))

    def _strangers(self) -> Iterator[str]:
        chains = {"oncall.default": self.oncall.default}
        chains |= {f"oncall.shifts.{index}.chain": shift.chain for index, shift in enumerate(self.oncall.shifts)}
        for place, chain in chains.items():
            for person in chain:
                if person not in self.people:
                    close = difflib.get_close_matches(person, self.people, n=1)
                    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(self.people)}"
                    yield f"{place}: nobody under 'people' is called {person!r}; {hint}"

    def _unreachable(self) -> Iterator[str]:
        for name in self.people:
            if not self.kinds_of(name):
                kinds = ", ".join(sorted({channel.kind for channel in self.channels.values()}))
                yield f"people.{name}: has no address for any channel (channels here: {kinds})"
