"""Copying one file."""

from __future__ import annotations

import contextlib

from .constants import OperationStatus
from .logging_utils import get_b10_logger
from .never_raise import never_raises


@never_raises(OperationStatus.ERROR)
def transfer(source: str, dest: str) -> OperationStatus:
    """Copies the file ``source`` to ``dest`` with its mode and times: whole, or not at all.

    The copy is made under a temporary name beside ``dest`` and renamed once it is on the disk, so nobody ever sees a
    part of it, and after an ERROR ``dest`` is what it was. Missing directories of ``dest`` are made; if ``dest`` is a
    directory, the copy gets the name of ``source`` in it; if it is a symlink, the file that it leads to is replaced.

    There must be room for the file at ``dest`` before it is copied. Where they are set, ``MIN_B10FS_SPACE_MB`` (below
    ``B10FS_CACHE_DIR``), or else ``MIN_LOCAL_SPACE_MB`` and ``LOCAL_SPACE_ARCHIVE_MULTIPLIER``, demand more.

    Args:
        source: Path of a regular file.
        dest: Path of the copy.

    Returns:
        SUCCESS, or ERROR; the log says why.

    It never raises an ``Exception``. A KeyboardInterrupt removes the temporary file, and passes.
    """
    logger = get_b10_logger(__name__)
    status = OperationStatus.SUCCESS
    try:
        from .file_copy import copy_file

        message = f"copied {copy_file(source, dest)} bytes from {source} to {dest}"
    except Exception as error:  # noqa: BLE001  The promise of this function is kept here.
        status = OperationStatus.ERROR
        message = str(error) or repr(error)
    # A handler of the user's that raises is no reason to break the promise either.
    with contextlib.suppress(Exception):
        if status == OperationStatus.SUCCESS:
            logger.info("transfer SUCCESS: %s", message)
        else:
            logger.error("transfer ERROR: %s", message)
    return status
