"""How a line of the log looks, and where it goes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

_RED = "\033[91m"
_YELLOW = "\033[93m"
_CYAN = "\033[96m"
_RESET = "\033[0m"


class ColoredFormatter(logging.Formatter):
    """Writes ``LEVEL - [b10-transfer log] message``, in colour on a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  The name is logging's.
        """Leaves the record as it is: other handlers format it as well."""
        text = f"[b10-transfer log] {record.message}"
        if _on_terminal():
            text = f"{_color(record.levelno)}{text}{_RESET}"
        return f"{record.levelname} - {text}"


class StderrHandler(logging.Handler):
    """Writes to what sys.stderr is at that moment, so that a redirected or replaced stderr gets the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; a stderr that is closed or not there loses it, as logging does."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  logging's own rule: a log line is never worth an exception.
            self.handleError(record)
            return
        if sys.stderr is not None:
            # A ValueError is a closed file's.
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()


def _color(level: int) -> str:
    if level >= logging.ERROR:
        return _RED
    return _YELLOW if level >= logging.WARNING else _CYAN


def _on_terminal() -> bool:
    if sys.stderr is None or sys.stderr.closed:
        return False
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
