"""Answers of the program's ``status`` and ``list`` in the form that b10-transfer gave them."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from typing import Any

from .errors import ProgramError
from .program import run_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

_MIB = 1024 * 1024


def cache_info(logger: logging.Logger) -> dict[str, Any]:
    """Does the work of ``get_cache_info``."""
    status = _ask("status", logger)
    local_files, local_bytes = _local_cache(status)
    store = _mapping(status.get("store"))
    archive = _loadable_archive(status)
    # A load takes the store's own cache first.
    own = _number(store.get("layers")) > 0
    exists = own or archive.get("archive") is not None
    info: dict[str, Any] = {
        "environment_key": status.get("key"),
        "local_cache_exists": local_files > 0,
        "b10fs_enabled": _enabled(status),
        "b10fs_cache_exists": exists,
    }
    if local_files > 0:
        info["local_cache_size_mb"] = local_bytes / _MIB
    if exists:
        info["b10fs_cache_size_mb"] = _number((store if own else archive).get("stored_bytes")) / _MIB
    return info


def available_caches(logger: logging.Logger) -> dict[str, Any]:
    """Does the work of ``list_available_caches``."""
    status = _ask("status", logger)
    current = status.get("key")
    archive_key = _loadable_archive(status).get("key")
    enabled = _enabled(status)
    listed = _ask("list", logger) if enabled else {}
    caches = [
        _describe(cache, archive_key if _is_foreign(cache) else current)
        for cache in _mappings(listed.get("caches"))
        if _available(cache)
    ]
    caches.sort(key=lambda cache: float(cache["created_time"]), reverse=True)
    answer: dict[str, Any] = {
        "caches": caches,
        "current_environment": current,
        "total_caches": len(caches),
        "current_cache_exists": any(cache["is_current_environment"] for cache in caches),
        "b10fs_enabled": enabled,
    }
    if status.get("code") == "disabled":
        answer["error"] = "b10fs is not enabled"
    elif listed.get("status") != "SUCCESS":
        answer["error"] = str(listed.get("message") or status.get("message"))
    return answer


def _ask(command: str, logger: logging.Logger) -> dict[str, Any]:
    """Returns the program's answer, or one that holds nothing but why there is none."""
    try:
        answer = dict(run_program(command, [command], logger).report)
    except Exception as error:  # noqa: BLE001  The promise of the public functions is kept here.
        code = error.code if isinstance(error, ProgramError) else "internal"
        answer = {"status": "ERROR", "code": code, "message": str(error) or repr(error)}
    if answer.get("status") == "ERROR":
        # A handler of the user's that raises is no reason to break the promise either.
        with contextlib.suppress(Exception):
            logger.error("%s ERROR (%s): %s", command, answer.get("code"), answer.get("message"))
    return answer


def _enabled(status: dict[str, Any]) -> bool:
    return _setting(status, "BASETEN_FS_ENABLED") is True


def _setting(status: dict[str, Any], variable: str) -> object:
    settings = _mappings(status.get("settings"))
    return next((setting.get("value") for setting in settings if setting.get("name") == variable), None)


def _local_cache(status: dict[str, Any]) -> tuple[int, float]:
    """Files and bytes in torch's cache directory."""
    if "local" in status:
        roots = _mappings(status["local"])
        return (
            int(sum(_number(root.get("files")) for root in roots)),
            sum(_number(root.get("bytes")) for root in roots),
        )
    # The program looks at nothing once it knows that the store is out of reach; b10-transfer did.
    directory = _setting(status, "TORCHINDUCTOR_CACHE_DIR")
    return _measure(directory) if isinstance(directory, str) else (0, 0)


def _measure(directory: str) -> tuple[int, int]:
    files = 0
    size = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            # Compilers remove files of theirs meanwhile.
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
                files += 1
    return files, size


def _loadable_archive(status: dict[str, Any]) -> dict[str, Any]:
    """What is known of b10-transfer's archive for this pod; nothing where a load does not take such archives."""
    known = _mapping(status.get("b10_transfer"))
    return known if known.get("off") is None else {}


def _available(cache: dict[str, Any]) -> bool:
    if cache.get("problem") is not None:
        return False
    return _is_foreign(cache) or _number(cache.get("layers")) > 0


def _is_foreign(cache: dict[str, Any]) -> bool:
    # A program that knows no foreign caches says of no cache which kind it is.
    return bool(cache.get("kind", "native") != "native")


def _describe(cache: dict[str, Any], current: object) -> dict[str, Any]:
    key = str(cache.get("key"))
    return {
        "filename": str(cache.get("file")) if _is_foreign(cache) else f"native/{key}",
        "environment_key": key,
        "size_mb": _number(cache.get("stored_bytes")) / _MIB,
        "is_current_environment": key == current,
        "created_time": _timestamp(cache.get("created_at")),
    }


def _timestamp(moment: object) -> float:
    """Seconds since 1970 of a moment such as 2026-01-31T12:00:00.000Z; 0 where it is none."""
    if isinstance(moment, str):
        with contextlib.suppress(ValueError):
            # Python reads a Z only since 3.11.
            return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()
    return 0.0


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
