"""Loading, saving and clearing torch's compile cache."""

from __future__ import annotations

from .constants import OperationStatus
from .logging_utils import get_b10_logger
from .never_raise import never_raises


@never_raises(OperationStatus.ERROR)
def load_compile_cache() -> OperationStatus:
    """Restores what the store has for this environment into torch's cache directory.

    Call it before ``torch.compile`` runs. Nothing local is ever overwritten; files that are there already stay, and
    what is missing is added. Settings are read from the environment at each call.

    Returns:
        SUCCESS: something was restored.
        SKIPPED: everything in the cache is on this pod already.
        DOES_NOT_EXIST: there is no cache for this environment.
        ERROR: anything else; the local directory is as it was, and the log says what to do.

    It never raises an ``Exception``. A KeyboardInterrupt ends the program, and passes.
    """
    from .operation import perform

    return perform("load", get_b10_logger(__name__)).result.status


@never_raises(OperationStatus.ERROR)
def save_compile_cache() -> OperationStatus:
    """Puts into the store what torch's cache directory has and the store does not have yet.

    Call it after the warm-up. Any number of pods may save at once.

    Returns:
        SUCCESS: something new was committed.
        SKIPPED: the store has all of it already, or there is nothing to save, or saving is switched off.
        ERROR: anything else; the store is as it was, and the log says what to do.

    It never raises an ``Exception``. A KeyboardInterrupt ends the program, and passes.
    """
    from .operation import perform

    return perform("save", get_b10_logger(__name__)).result.status


@never_raises(False)
def clear_local_cache() -> bool:
    """Empties torch's cache directory on this pod, and leaves the directory itself; never the store.

    Returns:
        True where it is empty now or was not there, False where it could not be emptied; the log says why.

    It never raises an ``Exception``. A KeyboardInterrupt ends the program, and passes.
    """
    from .operation import perform

    return perform("clear", get_b10_logger(__name__)).result.status != OperationStatus.ERROR
