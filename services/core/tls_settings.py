"""Files of TLS that a section of the settings may name."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from services.core.secret import AbsolutePath, Section


class TlsFiles(Section):
    """Whom we believe, and who we are.

    `ca_file`: the server's authority, in place of the system's; `cert_file` and `key_file`: our own certificate, for a
    server that asks for one.
    """

    TLS_BY: ClassVar[str] = "https"
    ca_file: AbsolutePath | None = None
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None

    @property
    def speaks_tls(self) -> bool:
        """Whether a connection is made by TLS at all."""
        return str(getattr(self, "url", "")).startswith("https:")

    @model_validator(mode="after")
    def _files_go_with_tls(self) -> Self:
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(self, key) is not None and not self.speaks_tls:
                raise ValueError(f"'{key}' goes with {self.TLS_BY}")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("'cert_file' and 'key_file' go together")
        return self
