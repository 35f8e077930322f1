"""The exceptions, where code that imports from b10-transfer's own modules looks for them."""

from __future__ import annotations

from .errors import CacheError, CacheValidationError

__all__ = ["CacheError", "CacheValidationError"]
