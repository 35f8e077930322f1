"""What is remembered of the last operation."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .result import OperationResult

_last: OperationResult | None = None


def last_result() -> OperationResult | None:
    """Returns the details of the last load, save, clear or automatic operation that ended in this process.

    It is the process's last one, whichever thread ran it, as a model is often loaded in another thread than the one
    that asks. ``get_cache_info``, ``list_available_caches`` and ``transfer`` change nothing here.

    Returns:
        The result, or None where no operation has ended yet.

    Example:
        >>> load_compile_cache()
        <OperationStatus.SUCCESS: 1>
        >>> result = last_result()
        >>> result.files, result.elapsed_ms
        (711, 84)
    """
    return _last


def remember(result: OperationResult) -> None:
    """Makes ``result`` the one that last_result() returns."""
    global _last  # noqa: PLW0603  One reference, replaced whole: no lock is needed.
    _last = result
