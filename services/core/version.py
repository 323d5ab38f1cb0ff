"""The name and version that manifests and products carry."""

from __future__ import annotations

import importlib.metadata
from typing import Final

SOFTWARE: Final = f"nightferry {importlib.metadata.version('nightferry')}"
