"""The details of one operation."""

from __future__ import annotations

from dataclasses import dataclass, field

from .constants import OperationStatus
from .errors import ProgramError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class OperationResult:
    """How one operation ended, and what it moved.

    Attributes:
        operation: ``"load"``, ``"save"``, ``"clear"`` or ``"automatic"``.
        status: How it ended.
        code: Why, where the status is ERROR: one of a closed set (docs/errors.md, docs/python.md); else None.
        key: The key of this pod's environment, where it was known.
        generation: The generation of the cache that was loaded or saved, if any.
        files: How many files were restored, saved or removed.
        bytes: Their bytes, uncompressed.
        stored_bytes: Their bytes in the store.
        elapsed_ms: How long it took, in milliseconds, as the program measured it.
        message: One sentence for people.
        raw: The program's whole answer, or an empty mapping where it gave none.
    """

    operation: str
    status: OperationStatus
    code: str | None
    key: str | None
    generation: int | None
    files: int
    bytes: int
    stored_bytes: int
    elapsed_ms: int
    message: str
    raw: Mapping[str, object] = field(repr=False, hash=False)


def result_of(report: Mapping[str, object]) -> OperationResult:
    """Reads the object that the program printed.

    Raises:
        ProgramError: ``program_no_result`` where its status is none that this package knows.
    """
    status = OperationStatus.__members__.get(_text(report, "status") or "")
    if status is None:
        raise ProgramError(
            "program_no_result",
            f"Cannot tell how the operation ended as its status is {report.get('status')!r}",
        )
    return OperationResult(
        operation=_text(report, "operation") or "",
        status=status,
        code=_text(report, "code"),
        key=_text(report, "key"),
        generation=_number(report, "generation"),
        files=_number(report, "files") or 0,
        bytes=_number(report, "bytes") or 0,
        stored_bytes=_number(report, "stored_bytes") or 0,
        elapsed_ms=_number(report, "elapsed_ms") or 0,
        message=_text(report, "message") or "",
        raw=report,
    )


def failed_result(operation: str, error: Exception) -> OperationResult:
    """Says that ``operation`` could not be done by the program, or not told of, because of ``error``."""
    return OperationResult(
        operation=operation,
        status=OperationStatus.ERROR,
        code=error.code if isinstance(error, ProgramError) else "internal",
        key=None,
        generation=None,
        files=0,
        bytes=0,
        stored_bytes=0,
        elapsed_ms=0,
        message=str(error) or repr(error),
        raw={},
    )


def _text(report: Mapping[str, object], name: str) -> str | None:
    value = report.get(name)
    return value if isinstance(value, str) else None


def _number(report: Mapping[str, object], name: str) -> int | None:
    value = report.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
