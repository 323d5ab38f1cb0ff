"""The connection to an MQTT broker: made, kept, and told in one line why there is none."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from services.core.housekeep_settings import MqttSource
from services.core.tls import context_of, words_of
from services.housekeeping.sources.base import SourceUnreachable

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

_CONNECT_S: Final = 10.0


class _Closing(ssl.SSLSocket):
    """Closes itself when the broker is not believed: paho does not, and we go on trying for days."""

    def do_handshake(self, block: bool = False) -> None:
        """As ever."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Link:
    """A client that has subscribed, in a thread of paho's; `on_message` and `on_loss` are called from there."""

    def __init__(
        self, settings: MqttSource, on_message: Callable[[MQTTMessage], None], on_loss: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._take = on_message
        self._lost = on_loss
        self._known = threading.Event()  # whether the broker has us, or refuses us
        self._subscribed = False
        self._refused = ""
        self._client: Client | None = None

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"{'mqtts' if self._settings.tls else 'mqtt'}://{self._settings.host}:{self._settings.port}"

    def is_up(self) -> bool:
        """Whether messages can come; connects, and waits ten seconds at most.

        Raises
        ------
        SourceUnreachable
            The broker does not answer, or TLS fails.
        BadSettings
            A secret or a certificate cannot be read.
        """
        if self._client is None:
            self._client = self._start()
        self._known.wait(_CONNECT_S)
        return self._subscribed

    def trouble(self) -> SourceUnreachable:
        """Why it is not up."""
        return SourceUnreachable(f"{self.url}: {self._refused or 'no answer'}")

    def ack(self, number: int, qos: int) -> None:
        """A message is safe."""
        if self._client is not None:
            self._client.ack(number, qos)

    def close(self) -> None:
        """Leave the broker, which keeps our session."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _start(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        settings = self._settings
        client = Client(CallbackAPIVersion.VERSION2, client_id=settings.client_id, clean_session=False, manual_ack=True)
        if settings.user is not None:
            client.username_pw_set(settings.user, None if settings.password is None else settings.password.read())
        if settings.tls:
            context = context_of(settings)
            context.sslsocket_class = _Closing
            client.tls_set_context(context)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_log = self._on_disconnect, self._on_log
        client.on_message = lambda _client, _data, message: self._take(message)
        client.reconnect_delay_set(1, 30)
        self._known.clear()
        self._subscribed, self._refused = False, ""
        try:
            client.connect(settings.host, settings.port, keepalive=30)
        except (OSError, ValueError) as error:
            raise SourceUnreachable(f"{self.url}: {words_of(error)}") from None
        client.loop_start()
        return client

    def _refuse(self, reason: str) -> None:
        self._refused = reason
        self._known.set()

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refuse(f"refuses us: {reason}")
        else:
            client.subscribe([(topic, 1) for topic in self._settings.topics])

    def _on_subscribe(self, _client: Client, _data: Any, _number: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._refuse(f"refuses our topics: {', '.join(refused)}")
            return
        self._subscribed, self._refused = True, ""
        self._known.set()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._subscribed:  # it may come back within the next wait
            self._subscribed = False
            self._known.clear()
        elif not self._refused:
            self._refuse(f"the connection was closed ({reason}){self._hint()}")
        self._lost()

    def _on_log(self, _client: Client, _data: Any, level: int, words: str) -> None:
        """Only here paho tells why a connection broke: a broker that wants a certificate says it after the greeting."""
        from paho.mqtt.enums import LogLevel

        if level == LogLevel.MQTT_LOG_ERR and not self._refused:
            hint = "" if self._subscribed else self._hint()
            self._refuse(" ".join(words.split()) + hint)

    def _hint(self) -> str:
        return "; does it ask for our certificate (cert_file)?" if self._settings.tls else "; does it want tls?"
