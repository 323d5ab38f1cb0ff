"""Secrets: never in the settings file, which only says where they stand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from services.core.errors import BadSettings


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class Secret(Section):
    """Where a secret stands: exactly one of a file (its first line) or an environment variable."""

    file: AbsolutePath | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Secret:
        if (self.file is None) == (self.env is None):
            raise ValueError("expected exactly one of 'file' and 'env'")
        return self

    def read(self) -> str:
        """The secret itself.

        Raises
        ------
        BadSettings
            The file is missing or empty, or the variable is not set.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "")
            source = f"environment variable {self.env}"
        else:
            assert self.file is not None
            source = str(self.file)
            try:
                value = self.file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
            except OSError as error:
                raise BadSettings((f"secret {source}: cannot be read: {error.strerror}",)) from None
        if not value:
            raise BadSettings((f"secret {source}: is empty or not set",))
        return value
