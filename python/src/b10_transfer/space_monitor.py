"""The exception, where code that imports from b10-transfer's own modules looks for it."""

from __future__ import annotations

from .errors import CacheOperationInterrupted

__all__ = ["CacheOperationInterrupted"]
