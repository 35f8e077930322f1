"""The automatic mode for vLLM."""

from __future__ import annotations

from .logging_utils import get_b10_logger


def save_vllm_compile_cache() -> None:
    """Loads vLLM's compile cache, waits for the server, saves what is new: ``b10-compile-cache`` without a command.

    It blocks until then: run it in a process or a thread beside the server. ``VLLM_CACHE_ROOT``,
    ``B10_TRANSFER_VLLM_URL``, ``B10_TRANSFER_TIMEOUT_S`` and ``B10_TRANSFER_INTERVAL_S`` are read at each call, and the
    environment of this process is not changed. Returns once all is done.

    Raises:
        SystemExit: With the program's exit status: 1 where nothing can be loaded or saved at all, or the wait broke
            down; 2 where the server was not ready in time; 3 where the save failed; 130 or 143 where the program was
            interrupted.
    """
    import sys

    from .operation import perform

    exit_status = perform("automatic", get_b10_logger(__name__)).exit_status
    if exit_status != 0:
        sys.exit(exit_status)
