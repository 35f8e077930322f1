"""The loggers of this package."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging


def get_b10_logger(name: str) -> logging.Logger:
    """Returns the logger ``name``, which writes lines such as ``INFO - [b10-transfer log] …`` to stderr.

    The first call for a name adds the handler, sets the level to INFO unless the logger has one already, and stops
    the logger from passing its records on to the root logger, so that no line appears twice. Lines are coloured where
    stderr is a terminal and ``NO_COLOR`` is not set. This package's own loggers are ``b10_transfer.cache``,
    ``b10_transfer.core``, ``b10_transfer.info`` and ``b10_transfer.vllm_cache``.

    Args:
        name: The logger's name, usually ``__name__``.

    Example:
        >>> import logging
        >>> get_b10_logger("b10_transfer.cache").setLevel(logging.WARNING)
    """
    import logging

    from .log_format import ColoredFormatter, StderrHandler

    logger = logging.getLogger(name)
    if not any(isinstance(handler.formatter, ColoredFormatter) for handler in logger.handlers):
        handler = StderrHandler()
        handler.setFormatter(ColoredFormatter())
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
