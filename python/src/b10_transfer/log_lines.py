"""The program's lines on stderr, as records of a Python logger."""

from __future__ import annotations

import logging

_PROGRAM = "b10-compile-cache: "
_LEVELS = {"warning: ": logging.WARNING, "error: ": logging.ERROR}


def parse_line(line: str) -> tuple[int, str]:
    """Splits a line such as ``b10-compile-cache: warning: text`` into its level and its text.

    Lines of no level, and lines that the program did not write itself, are INFO.

    Example:
        >>> parse_line("b10-compile-cache: warning: the share is slow")
        (30, 'the share is slow')
    """
    text = line.removeprefix(_PROGRAM)
    for label, level in _LEVELS.items():
        if text.startswith(label):
            return level, text[len(label) :]
    return logging.INFO, text
