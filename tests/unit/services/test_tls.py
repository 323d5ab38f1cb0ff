"""What is said of TLS that fails, whatever library brings the error."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.core.tls import client_context, words_of
from tests.fixtures.certificates import Authority


@contextmanager
def server(authority: Authority, *names: str) -> Iterator[int]:
    """One handshake."""
    context = authority.context(*names)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            connection, _ = listening.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=shake)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def mistrust(authority: Authority, *names: str) -> ssl.SSLError:
    """The error of a client that connects to 127.0.0.1."""
    with (
        server(authority, *names) as port,
        socket.create_connection(("127.0.0.1", port)) as connection,
        pytest.raises(ssl.SSLError) as caught,
    ):
        client_context(authority.ca_file).wrap_socket(connection, server_hostname="127.0.0.1")
    return caught.value


def wrapped(error: Exception) -> list[Exception]:
    """As libraries hand it on."""
    by_cause, by_context = RuntimeError("(0)\nReason: SSLError"), RuntimeError("(0)")
    by_cause.__cause__ = error
    by_context.__context__ = RuntimeError(error)
    return [error, urllib.error.URLError(error), RuntimeError(error), by_cause, by_context]


def test_a_wrong_name_is_told_in_one_line_whatever_wraps_it(authority: Authority) -> None:
    for error in wrapped(mistrust(authority, "mail.example.org")):
        assert words_of(error) == (
            "the server's certificate is not believed: IP address mismatch, certificate is not valid for '127.0.0.1'"
        )


def test_other_errors_stay_what_they_are_in_one_line() -> None:
    assert words_of(OSError(111, "Connection refused")) == "[Errno 111] Connection refused"
    assert words_of(RuntimeError("one\n two")) == "one two"
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert words_of(one) == "one"
    assert "does it speak TLS at all?" in words_of(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))


def test_nothing_in_a_context_of_ours_is_switched_off(authority: Authority) -> None:
    for context in (client_context(None), client_context(authority.ca_file)):
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
