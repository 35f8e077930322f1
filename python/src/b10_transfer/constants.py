"""How an operation ended."""

from __future__ import annotations

from enum import Enum


class OperationStatus(Enum):
    """How a load, a save or a transfer ended."""

    SUCCESS = 1
    ERROR = 2
    DOES_NOT_EXIST = 3
    """A load found no cache for this environment."""
    SKIPPED = 4
    """There was nothing to do."""
