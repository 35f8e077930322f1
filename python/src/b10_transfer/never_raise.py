"""The promise of b10-transfer's functions: no ``Exception`` leaves them, not even for wrong arguments."""

from __future__ import annotations

import contextlib
import functools
from typing import Callable, TypeVar, cast

from .logging_utils import get_b10_logger

_Function = TypeVar("_Function", bound=Callable[..., object])


def never_raises(failed: object) -> Callable[[_Function], _Function]:
    """Makes a function answer ``failed`` where it would raise an ``Exception``, and log that.

    Its signature stays what it is, for people and for tools.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def promised(*args: object, **kwargs: object) -> object:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  The promise is kept here.
                # A handler of the user's that raises is no reason to break it either.
                with contextlib.suppress(Exception):
                    get_b10_logger(function.__module__).error("%s failed: %s", function.__name__, error)
                return failed

        return cast("_Function", promised)

    return decorate
