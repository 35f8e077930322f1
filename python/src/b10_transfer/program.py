"""The program b10-compile-cache as a child process that answers with one JSON object."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import ProgramError
from .find_program import find_program
from .log_lines import parse_line
from .process import ProcessTimeoutError, run_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

# The program gives up by itself after these: (setting, its default in seconds).
_DEADLINES_S = {
    "load": ("B10_CACHE_LOAD_TIMEOUT_S", 60.0),
    "list": ("B10_CACHE_LOAD_TIMEOUT_S", 60.0),
    "status": ("B10_CACHE_LOAD_TIMEOUT_S", 60.0),
    "save": ("B10_CACHE_SAVE_TIMEOUT_S", 600.0),
}

_REINSTALL = "install the b10-transfer wheel for this machine again"


@dataclass(frozen=True)
class Answer:
    """What the program said, and the exit status of its process: 128 + n after signal n, as in a shell."""

    report: Mapping[str, object]
    exit_status: int


def run_program(operation: str, arguments: Sequence[str], logger: logging.Logger) -> Answer:
    """Runs the program with ``arguments`` and ``--json``; its lines on stderr go to ``logger`` while it runs.

    Raises:
        ProgramError: ``program_not_found``, ``program_not_started``, ``program_timed_out``, ``program_no_result``.
    """
    program = find_program()
    try:
        finished = run_process(
            [program, *arguments, "--json"],
            env=_environment(),
            timeout_s=_safety_net_s(operation),
            on_stderr_line=lambda line: logger.log(*parse_line(line)),
        )
    except OSError as error:
        raise ProgramError("program_not_started", _why_not_started(program, error)) from error
    except ProcessTimeoutError as error:
        raise ProgramError(
            "program_timed_out",
            f"Stopped {program} as its own deadline did not end it: {error}. Does the shared volume hang?",
        ) from error
    code = finished.returncode
    return Answer(_parse(program, finished.stdout, code), code if code >= 0 else 128 - code)


def _environment() -> dict[str, str]:
    env = dict(os.environ)
    # The packages of this very Python decide the key, whatever python3 is on the PATH.
    if not env.get("B10_CACHE_PYTHON") and sys.executable:
        env["B10_CACHE_PYTHON"] = sys.executable
    return env


def _safety_net_s(operation: str) -> float | None:
    """Well beyond the program's own deadline: only for a program that no longer gets to look at its clock."""
    if operation not in _DEADLINES_S:
        return None
    variable, default_s = _DEADLINES_S[operation]
    try:
        deadline_s = float(os.environ.get(variable) or default_s)
    except ValueError:
        # The program says what is wrong with the value, at once.
        deadline_s = default_s
    return 2 * max(deadline_s, default_s) + 60


def _why_not_started(program: str, error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        return (
            f"Cannot run {program} as it was made for another machine than {platform.machine()}: {_REINSTALL}"
        )
    if isinstance(error, FileNotFoundError) and Path(program).exists():
        # The kernel says "not found" of the loader that the file names.
        return f"Cannot run {program} as it was made for another C library (glibc or musl): {_REINSTALL}"
    if isinstance(error, PermissionError):
        return f"Cannot run {program} as this is not permitted: is its file system mounted noexec?"
    return f"Cannot run {program} as {error.strerror or error}"


def _parse(program: str, stdout: bytes, code: int) -> Mapping[str, object]:
    lines = stdout.split(b"\n")
    last = next((line for line in reversed(lines) if line.strip()), b"")
    try:
        report = json.loads(last)
    except ValueError:
        report = None
    if isinstance(report, dict):
        return report
    said = repr(last[:200].decode("utf-8", "replace")) if last else "nothing"
    raise ProgramError(
        "program_no_result",
        f"Cannot tell how the operation ended as {program} ended {_how_ended(code)} and printed {said} "
        f"where a JSON object is expected",
    )


def _how_ended(code: int) -> str:
    if code >= 0:
        return f"with exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
