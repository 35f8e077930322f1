"""What is in the local cache and in the store."""

from __future__ import annotations

from .logging_utils import get_b10_logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def get_cache_info() -> dict[str, Any]:
    """Says what this pod has, and what the store has for it.

    Returns:
        A dictionary with the keys

        - ``environment_key``: the key of this pod's environment, or None where it cannot be known;
        - ``local_cache_exists``: whether torch's cache directory holds any file;
        - ``b10fs_enabled``: whether the shared cache is switched on;
        - ``b10fs_cache_exists``: whether the store has a cache of this key, or an archive of b10-transfer's that a load
          here restores;
        - ``local_cache_size_mb``: in MiB, where there is a local cache;
        - ``b10fs_cache_size_mb``: its stored size in MiB, where the store has one.

    It never raises an ``Exception``: what cannot be found out is None or False, and the log says why. It changes
    nothing, and takes about as long as a load that finds nothing.
    """
    from .inspection import cache_info

    return cache_info(get_b10_logger(__name__))


def list_available_caches() -> dict[str, Any]:
    """Lists the caches in the store that a pod can load, the newest first; evicted and unusable ones are left out.

    Returns:
        A dictionary with the keys

        - ``caches``: a list of dictionaries, each with ``filename`` (relative to the store: ``native/<key>``, or the
          name of an archive that b10-transfer made), ``environment_key``, ``size_mb`` (its stored size in MiB),
          ``is_current_environment`` (whether it is one that a load here restores) and ``created_time`` (seconds since
          1970);
        - ``current_environment``: the key of this pod's environment, or None where it cannot be known;
        - ``total_caches``: how many there are;
        - ``current_cache_exists``: whether one of them is this environment's;
        - ``b10fs_enabled``: whether the shared cache is switched on;
        - ``error``: why there is no list, only where there is none.

    It never raises an ``Exception``.
    """
    from .inspection import available_caches

    return available_caches(get_b10_logger(__name__))
