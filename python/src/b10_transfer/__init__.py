"""Compile caches of torch.compile and vLLM, shared by all replicas.

The work is done by the program ``b10-compile-cache``, which the wheel installs; this package runs it. Importing it
takes milliseconds and imports neither torch nor anything else outside the standard library.

Example:
    >>> from b10_transfer import OperationStatus, load_compile_cache, save_compile_cache
    >>> loaded = load_compile_cache()  # before torch.compile runs
    >>> # … compile, warm up …
    >>> if loaded != OperationStatus.SUCCESS:
    ...     save_compile_cache()
"""

from __future__ import annotations

from ._version import __version__
from .cache import clear_local_cache, load_compile_cache, save_compile_cache
from .constants import OperationStatus
from .core import transfer
from .errors import CacheError, CacheOperationInterrupted, CacheValidationError
from .info import get_cache_info, list_available_caches
from .last import last_result
from .logging_utils import get_b10_logger
from .vllm_cache import save_vllm_compile_cache

__all__ = [
    "CacheError",
    "CacheOperationInterrupted",
    "CacheValidationError",
    "OperationStatus",
    "__version__",
    "clear_local_cache",
    "get_b10_logger",
    "get_cache_info",
    "last_result",
    "list_available_caches",
    "load_compile_cache",
    "save_compile_cache",
    "save_vllm_compile_cache",
    "transfer",
]
