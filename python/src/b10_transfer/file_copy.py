"""Copies a file, all or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from .errors import CacheValidationError
from .free_space import require_space


def copy_file(source: str, dest: str) -> int:
    """Copies ``source`` to ``dest`` as ``transfer`` promises.

    Returns:
        How many bytes were copied.

    Raises:
        CacheValidationError: ``source`` or ``dest`` is no regular file, they are the same file, or there is no room.
        OSError: The file system refuses.
    """
    origin = Path(source)
    wanted = Path(dest)
    if wanted.is_dir():
        wanted = wanted / origin.name
    # A symlink stays: what it leads to is replaced.
    target = Path(os.path.realpath(wanted))
    status = origin.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CacheValidationError(f"Cannot copy {source} as it is not a regular file")
    _refuse_target(target, status)
    target.parent.mkdir(parents=True, exist_ok=True)
    require_space(target.parent, status.st_size)
    # A short name of its own: `target`'s may be as long as names can be, and names with *incomplete* in them are
    # removed by b10-transfer's clean-up.
    descriptor, temporary = tempfile.mkstemp(prefix=".b10-transfer-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as copy, origin.open("rb") as original:
            shutil.copyfileobj(original, copy, 1024 * 1024)
            copy.flush()
            os.fsync(copy.fileno())
            copied = copy.tell()
        # Some file systems know no modes or times; the content counts.
        with contextlib.suppress(OSError):
            shutil.copystat(origin, temporary)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return copied


def _refuse_target(target: Path, origin: os.stat_result) -> None:
    try:
        status = target.stat()
    except FileNotFoundError:
        return
    if os.path.samestat(status, origin):
        raise CacheValidationError(f"Cannot copy {target} onto itself")
    if not stat.S_ISREG(status.st_mode):
        raise CacheValidationError(f"Cannot replace {target} as it is not a regular file")
