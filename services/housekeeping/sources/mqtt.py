"""Messages of an MQTT broker, in a session that the broker keeps while we are away."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.core.housekeep_settings import MqttSource
from services.housekeeping.named import fill, in_rows
from services.housekeeping.ordering import Sequencer
from services.housekeeping.sources.base import Bad, Batch, Position
from services.housekeeping.sources.mqtt_link import Link
from services.housekeeping.times import time_parser

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

_KEY: Final = "session"
_TOPIC: Final = "topic:"
_MOST_DONE: Final = 200  # of earlier batches: more than a broker has in flight
_MOST_AT_ONCE: Final = 5000
_MOST_TOPICS: Final = 20_000
_LONGEST: Final = 64 << 10  # bytes of a payload


@dataclass(frozen=True)
class Message:
    """A message as it came: `arrived_ns` by our clock, `again` when the broker says that it sent it before."""

    number: int
    qos: int
    topic: str
    payload: bytes
    arrived_ns: int
    again: bool
    retained: bool = False  # of before we asked: the broker does not say from when

    @property
    def digest(self) -> str:
        """The same for a message that the broker sends once more."""
        told = f"{self.number} {self.topic} ".encode() + self.payload
        return hashlib.blake2b(told, digest_size=8).hexdigest()


class MqttMessages:
    """A `Source`: each message is acknowledged when its rows are safe, so that the broker keeps what we have not.

    A process that dies between is sent the message again; those it had committed are on record in the position, and
    are not taken twice. The broker must keep sessions (mosquitto: `persistence true`), and the publishers must publish
    with QoS 1: a message of QoS 0 has no promise.
    """

    def __init__(
        self, name: str, settings: MqttSource, positions: Mapping[str, Position], wake: Callable[[], None]
    ) -> None:
        self._name = name
        self._settings = settings
        self._wake = wake
        kept = positions.get(_KEY, {})
        self._done: list[str] = list(kept.get("done", ()))
        self._order = {key: value for key, value in positions.items() if key.startswith(_TOPIC)}
        self._time = time_parser(settings.time_format, settings.time_zone)
        self._waiting: queue.Queue[Message] = queue.Queue(settings.max_waiting)
        self._unacknowledged: list[Message] = []
        self._link = Link(settings, self._on_message, self._on_loss)

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        # While messages wait here the connection may be down: they are ours already.
        if not self._link.is_up() and self._waiting.empty():
            trouble = self._link.trouble()
            self._link.close()
            raise trouble
        messages: list[Message] = []
        while len(messages) < _MOST_AT_ONCE:
            try:
                messages.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        self._unacknowledged = messages
        if not messages:
            return Batch()
        bad = Bad()
        done = set(self._done)
        rows: list[tuple[int, Mapping[str, float | str]]] = []
        positions: dict[str, Position] = {}
        notes = {"repeated": 0, "clock_back": 0, "retained": 0}
        for message in messages:
            if message.again and message.digest in done:
                notes["repeated"] += 1
                continue
            try:
                rows += self._rows(message, now_ns, notes, positions)
            except (ValueError, OverflowError, RecursionError) as error:
                bad.add(f"mqtt:{message.topic}"[:120], 0, str(error), message.payload[:120].decode("utf-8", "replace"))
        new = [message.digest for message in messages if message.qos]
        self._done = [*self._done, *new][-max(len(new), _MOST_DONE) :]
        positions[_KEY] = {"done": self._done}
        samples = in_rows(self._name, rows, self._settings.units, self._link.url)
        more = not self._waiting.empty()
        return Batch(tuple(samples), positions, tuple(bad.rows), bad.count, notes, more)

    def committed(self) -> None:
        """Tell the broker."""
        for message in self._unacknowledged:
            if message.qos:
                self._link.ack(message.number, message.qos)
        self._unacknowledged = []

    def close(self) -> None:
        """Leave the broker, which keeps our session."""
        self._link.close()

    def _on_loss(self) -> None:
        with contextlib.suppress(queue.Empty):  # the broker sends again what we have not acknowledged
            while True:
                self._waiting.get_nowait()

    def _on_message(self, message: MQTTMessage) -> None:
        # A full queue stops paho's thread and so the broker: it keeps the rest until we are through.
        payload = bytes(message.payload[: _LONGEST + 1])
        kept = (time.time_ns(), bool(message.dup), bool(message.retain))
        self._waiting.put(Message(message.mid, message.qos, message.topic, payload, *kept))
        self._wake()

    def _rows(
        self, message: Message, now_ns: int, notes: dict[str, int], positions: dict[str, Position]
    ) -> list[tuple[int, Mapping[str, float | str]]]:
        name = parameter_of(message.topic, self._settings.topics)
        when, values = values_of(message.payload, name, self._settings.time_key, self._time)
        if when is None and message.retained:  # it may be a week old: as a new value it would hide a dead sensor
            notes["retained"] += 1
            return []
        if when is None:
            return [(message.arrived_ns, values)]
        if not 0 < when <= now_ns + round(self._settings.future_s * 1e9):
            raise ValueError("the time lies before 1970 or too far in the future")
        key = _TOPIC + message.topic
        if key not in self._order and len(self._order) >= _MOST_TOPICS:
            raise ValueError(f"more than {_MOST_TOPICS} topics")
        sequencer = Sequencer(self._order.get(key))
        placed = sequencer.place(when, message.payload.decode("utf-8", "replace"))
        self._order[key] = positions[key] = sequencer.state()
        notes["repeated"] += sequencer.repeated
        notes["clock_back"] += sequencer.clock_back
        return [] if placed is None else [(placed, values)]


def parameter_of(topic: str, topics: Mapping[str, str]) -> str:
    """The parameter's name of a topic, by the first filter that fits it."""
    levels = topic.split("/")
    for wanted, template in topics.items():
        known = {"topic": ".".join(levels)}
        for index, level in enumerate(wanted.split("/")):
            if level == "#":
                return fill(template, known)
            if index >= len(levels) or level not in ("+", levels[index]):
                break
            if level == "+":
                known[str(len(known))] = levels[index]
        else:
            if len(levels) == len(wanted.split("/")):
                return fill(template, known)
    raise ValueError("a topic that we did not ask for")


def values_of(
    payload: bytes, name: str, time_key: str, read_time: Callable[[str, int | None], int]
) -> tuple[int | None, dict[str, float | str]]:
    """Time (None: it does not say) and values of a payload: a number, or a JSON object of numbers and words."""
    if len(payload) > _LONGEST:
        raise ValueError(f"more than {_LONGEST} bytes")
    said = json.loads(payload.decode("utf-8"))
    if isinstance(said, bool | int | float):
        return None, {name: float(said)}
    if isinstance(said, str):
        return None, {name: said}
    if not isinstance(said, dict):
        raise ValueError("neither a number nor an object of numbers")
    when = said.pop(time_key, None)
    values: dict[str, float | str] = {}
    for key, value in said.items():
        parameter = name if key == "value" else f"{name}.{key}".strip(".")
        if value is None:
            values[parameter] = float("nan")
        elif isinstance(value, str):
            values[parameter] = value
        elif isinstance(value, bool | int | float):
            values[parameter] = float(value)
        else:
            raise ValueError(f"{key!r} is neither a number nor a word")
    if not values:
        raise ValueError("no values")
    return (None if when is None else read_time(str(when), None)), values
