"""Reasons of failures: who said no, and nothing of what must stay secret."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.channels.apprise_channel import mistake_in_url
from services.alerts.channels.apprise_reasons import is_refusal
from services.alerts.channels.redact import redact

SECRET = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40)


@given(password=SECRET, words=st.text(max_size=50))
def test_a_password_is_never_told_in_any_of_its_forms(password: str, words: str) -> None:
    quoted = quote(password, safe="")
    url = f"mailtos://alerts:{quoted}@mail.example.org:587/?from=a@example.org&to={{to}}&mode=starttls"
    told = redact(f"login alerts {password} / {quoted} {words} at {url}", url, "anna@example.org")
    inside = ("<secret>", "<address>", "login", "alerts", " / ", " at ", words)
    assert not any(secret in told for secret in (password, quoted) if not any(secret in word for word in inside))


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("twilio://ACsecret01:secret02@%2B15005550006/{to}?apikey=SKsecret03", "ACsecret01 secret02 SKsecret03"),
        ("sns://AKIAsecret01/secret02%2Fsecret03/us-east-1/{to}", "AKIAsecret01 secret02/secret03 secret02%2Fsecret03"),
        ("ntfys://secret01:secret02@ntfy.example.org/secret03", "secret01 secret02 secret03"),
        ("slack://secret01/secret02/secret03", "secret01 secret02 secret03"),
        ("ses://a@example.org/AKIAsecret01/secret02/us-east-1/{to}?x=secret03", "AKIAsecret01 secret02 secret03"),
    ],
)
def test_every_place_of_an_address_may_hold_a_secret(url: str, secrets: str) -> None:
    told = redact(f"failed: {secrets} +56912345678 56912345678\r\nat host.example.org", url, "+56912345678")
    hidden = " ".join("<secret>" for _ in secrets.split())
    assert told == f"failed: {hidden} <address> <address> at host.example.org"
    assert "secret0" not in redact(f"cannot parse {url}", url, "+56912345678")


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        ("Connection error; (535, b'5.7.8 Authentication credentials invalid')", True),
        ("{'<address>': (550, b'no such user')}", True),
        ("{'<address>': (550, b'no'), '<address>': (451, b'later')}", False),
        ("(421, b'4.3.2 closing')", False),
        ("Failed to send Twilio notification to <address>: Authenticate, error=20003.", True),
        ("Failed to send Twilio notification to <address>: error=20429.", False),
        ("Failed to send Twilio notification to <address>: error=20503.", False),
        ("Failed to send Twilio notification to <address>: error=30001.", False),
        ("Failed to send AWS notification: Unauthorized, error=403.", True),
        ("Failed to send ntfy notification: error=500.", False),
        ("Failed to send ntfy notification: error=429.", False),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", False),
        ("apprise gave no reason", False),
    ],
)
def test_only_an_answer_is_a_refusal(reason: str, refused: bool) -> None:
    assert is_refusal(reason) is refused


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (
            "mail",
            "mailtos://alerts:pass%40word@mail.example.org:587/?from=nightferry@example.org&to={to}&mode=starttls",
        ),
        ("mail", "mailtos://alerts:word@mail.example.org:465/?from=nightferry@example.org&to={to}&mode=ssl"),
        ("mail", "mailto://127.0.0.1:25/?from=nightferry@example.org&to={to}"),
        ("mail", "ses://nightferry@example.org/AKIAEXAMPLE/secretkey/us-east-1/{to}"),
        ("mail", "ntfys://token@ntfy.example.org/nightferry"),
        ("sms", "twilio://AC0123456789abcdef0123456789abcdef:0123456789abcdef@%2B15005550006/{to}"),
        ("sms", "sns://AKIAEXAMPLE/secret%2Fkey/us-east-1/{to}"),
    ],
)
def test_the_addresses_of_the_manual_are_understood(kind: str, url: str) -> None:
    assert mistake_in_url(url, kind) is None
