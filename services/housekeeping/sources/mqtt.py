"""Messages of an MQTT broker, in a session that the broker keeps while we are away."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.core.housekeep_settings import MqttSource
from services.housekeeping.named import fill, in_rows
from services.housekeeping.ordering import Sequencer
from services.housekeeping.sources.base import Bad, Batch, Position, SourceUnreachable
from services.housekeeping.times import time_parser

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

_KEY: Final = "session"
_TOPIC: Final = "topic:"
_MOST_DONE: Final = 200  # of earlier batches: more than a broker has in flight
_MOST_AT_ONCE: Final = 5000
_MOST_TOPICS: Final = 20_000
_LONGEST: Final = 64 << 10  # bytes of a payload
_CONNECT_S: Final = 10.0


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
        self._connected = threading.Event()
        self._refused = ""
        self._client: Client | None = None

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        self._listen()
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
        origin = f"mqtt://{self._settings.host}:{self._settings.port}"
        samples = in_rows(self._name, rows, self._settings.units, origin)
        more = not self._waiting.empty()
        return Batch(tuple(samples), positions, tuple(bad.rows), bad.count, notes, more)

    def committed(self) -> None:
        """Tell the broker."""
        for message in self._unacknowledged:
            if self._client is not None and message.qos:
                self._client.ack(message.number, message.qos)
        self._unacknowledged = []

    def close(self) -> None:
        """Leave the broker, which keeps our session."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _listen(self) -> None:
        if self._client is None:
            self._client = self._start()
        # While messages wait here the connection may be down: they are ours already.
        if not self._connected.wait(_CONNECT_S) and self._waiting.empty():
            said = self._refused or "no answer"
            self.close()
            raise SourceUnreachable(f"mqtt://{self._settings.host}:{self._settings.port}: {said}")

    def _start(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        settings = self._settings
        client = Client(CallbackAPIVersion.VERSION2, client_id=settings.client_id, clean_session=False, manual_ack=True)
        if settings.user is not None:
            client.username_pw_set(settings.user, None if settings.password is None else settings.password.read())
        if settings.tls:
            client.tls_set()
        client.on_connect, client.on_message = self._on_connect, self._on_message
        client.on_subscribe, client.on_disconnect = self._on_subscribe, self._on_disconnect
        client.reconnect_delay_set(1, 30)
        try:
            client.connect(settings.host, settings.port, keepalive=30)
        except (OSError, ValueError) as error:
            raise SourceUnreachable(f"mqtt://{settings.host}:{settings.port}: {error}") from None
        client.loop_start()
        return client

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        client.subscribe([(topic, 1) for topic in self._settings.topics])

    def _on_subscribe(self, _client: Client, _data: Any, _number: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._refused = f"refuses our topics: {', '.join(refused)}"
        else:
            self._connected.set()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._refused = str(reason)
        self._connected.clear()
        with contextlib.suppress(queue.Empty):  # the broker sends again what we have not acknowledged
            while True:
                self._waiting.get_nowait()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
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
