"""The classes of exceptions."""

from __future__ import annotations


class CacheError(Exception):
    """Something of a cache operation went wrong."""


class CacheValidationError(CacheError):
    """A setting, a path or the free space is not as it must be."""


class CacheOperationInterrupted(Exception):  # noqa: N818  The name is b10-transfer's.
    """An operation was stopped as disk space ran out; b10-transfer raised it within itself, this package never does."""


class ProgramError(CacheError):
    """The program could not be run, or did not say how the operation ended; the public functions return ERROR.

    Attributes:
        code: What happened, for ``last_result().code``; docs/python.md lists the codes.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keeps ``code`` beside the message."""
        super().__init__(message)
        self.code = code
