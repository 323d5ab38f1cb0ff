"""TLS to servers: whose word on them we take, who we are, and what is wrong with a certificate, in one line.

Certificates and host names are always verified; there is no setting that switches it off.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from services.core.errors import BadSettings
from services.core.tls_settings import TlsFiles

# OpenSSL's verify codes (x509_vfy.h) that a person can do something about.
_ADVICE: Final = {
    9: "is our clock right?",
    10: "or is our clock wrong?",
    18: "its authority belongs into ca_file",
    19: "its authority belongs into ca_file",
    20: "its authority belongs into ca_file",
    21: "its authority belongs into ca_file",
}
_NO_TLS: Final = frozenset(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))


def context_of(settings: TlsFiles) -> ssl.SSLContext:
    """How we speak TLS to a server of the settings; raises as `client_context` does."""
    return client_context(settings.ca_file, settings.cert_file, settings.key_file)


def client_context(ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """How we speak TLS: `ca_file` in place of the system's authorities, `cert_file` and `key_file` if we show our own.

    Raises
    ------
    BadSettings
        A file cannot be read, or holds nothing of the kind.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise BadSettings((f"ca_file: {ca_file}: {_of_file(error, 'certificate')}",)) from None
    if cert_file is not None:
        for name, path in (("cert_file", cert_file), ("key_file", key_file)):
            if path is not None and not path.is_file():
                raise BadSettings((f"{name}: {path}: no such file",))
        try:
            # An empty word where a person would be asked for one.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            raise BadSettings((f"cert_file: {cert_file}: {_of_file(error, 'certificate with its key')}",)) from None
    return context


def _of_file(error: OSError, kind: str) -> str:
    if isinstance(error, ssl.SSLError):
        return f"expected a {kind} (PEM): {_reason(error) or error.args[-1]}"
    return error.strerror or str(error)


def words_of(error: BaseException) -> str:
    """What an error of a connection says, in one line; of a certificate that does not fit in plain words."""
    found = _tls_error(error)
    if isinstance(found, ssl.SSLCertVerificationError):
        advice = _ADVICE.get(getattr(found, "verify_code", 0))
        words = getattr(found, "verify_message", str(found))
        said = f"the server's certificate is not believed: {words.rstrip('.')}"
        return f"{said} ({advice})" if advice is not None else said
    if found is not None and _reason(found) in _NO_TLS:
        return f"no TLS is spoken there ({_reason(found)})"
    if isinstance(found, ssl.SSLEOFError):
        return "the other end broke TLS off (does it speak TLS at all?)"
    return " ".join(str(error if found is None else found).split())


def _reason(error: ssl.SSLError) -> str | None:
    """OpenSSL's word; an error that a library made itself has none."""
    return getattr(error, "reason", None)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """The error of TLS behind what a library made of it."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        if isinstance(one, ssl.SSLError):
            return one
        seen.add(id(one))
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
    return None
