"""Whether there is room for a file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .errors import CacheValidationError

_MIB = 1024 * 1024


def require_space(directory: Path, size: int) -> None:
    """Demands room in ``directory`` for ``size`` bytes, or for more where the settings say so.

    Raises:
        CacheValidationError: There is less, or a setting is not a number.
        OSError: The file system does not say how much there is.
    """
    required = max(size, _demanded(directory, size))
    free = shutil.disk_usage(directory).free
    if free < required:
        raise CacheValidationError(
            f"Cannot copy {size} bytes to {directory} as {required} bytes must be free there and {free} are"
        )


def _demanded(directory: Path, size: int) -> int:
    store = os.environ.get("B10FS_CACHE_DIR")
    if store and Path(os.path.realpath(store)) in (directory, *directory.parents):
        return int(_setting("MIN_B10FS_SPACE_MB") * _MIB)
    return int(max(size * _setting("LOCAL_SPACE_ARCHIVE_MULTIPLIER"), _setting("MIN_LOCAL_SPACE_MB") * _MIB))


def _setting(variable: str) -> float:
    """The value of ``variable``; 0 where it is not set, or empty."""
    text = os.environ.get(variable) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # NaN is not at least 0 either.
    if not 0 <= value < float("inf"):
        raise CacheValidationError(f'Cannot use {variable} "{text}" as it must be a number of at least 0')
    return value
