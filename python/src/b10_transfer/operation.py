"""One operation of the program, from its start to what is remembered of it."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass

from .constants import OperationStatus
from .last import remember
from .program import run_program
from .result import OperationResult, failed_result, result_of

_ERROR_EXIT_STATUS = 1

# The automatic mode is what the program does without a command.
_ARGUMENTS = {"load": ["load"], "save": ["save"], "clear": ["clear"], "automatic": []}


@dataclass(frozen=True)
class Performed:
    """How an operation ended, for this process and as a process of its own."""

    result: OperationResult
    exit_status: int


def perform(operation: str, logger: logging.Logger) -> Performed:
    """Runs ``operation``, logs what the program says while it runs and how it ended, and remembers that.

    It never raises an ``Exception``: what goes wrong here is a result with the status ERROR and exit status 1.
    """
    try:
        answer = run_program(operation, _ARGUMENTS[operation], logger)
        performed = Performed(result_of(answer.report), answer.exit_status)
    except Exception as error:  # noqa: BLE001  The promise of the public functions is kept here.
        performed = Performed(failed_result(operation, error), _ERROR_EXIT_STATUS)
    remember(performed.result)
    # A handler of the user's that raises is no reason to break the promise either.
    with contextlib.suppress(Exception):
        _log_result(performed.result, logger)
    return performed


def _log_result(result: OperationResult, logger: logging.Logger) -> None:
    level = logging.ERROR if result.status == OperationStatus.ERROR else logging.INFO
    code = f" ({result.code})" if result.code else ""
    logger.log(level, "%s %s%s: %s", result.operation, result.status.name, code, result.message)
