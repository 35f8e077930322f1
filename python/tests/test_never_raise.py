"""Nothing that a caller does wrong raises out of the functions that promise not to."""

from __future__ import annotations

import inspect
import logging

import pytest

import b10_transfer
from b10_transfer import OperationStatus
from b10_transfer.never_raise import never_raises

CALLS = [
    ("load_compile_cache", ("unexpected",), OperationStatus.ERROR),
    ("save_compile_cache", ("unexpected",), OperationStatus.ERROR),
    ("clear_local_cache", ("unexpected",), False),
    ("transfer", ("only one",), OperationStatus.ERROR),
    ("transfer", (None, None), OperationStatus.ERROR),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CALLS)
def test_wrong_arguments_are_a_failure_and_not_an_exception(
    name: str, arguments: tuple[object, ...], expected: object
) -> None:
    assert getattr(b10_transfer, name)(*arguments) == expected


def test_the_signature_stays_what_it_is() -> None:
    assert list(inspect.signature(b10_transfer.transfer).parameters) == ["source", "dest"]
    assert b10_transfer.load_compile_cache.__name__ == "load_compile_cache"
    assert "Restores" in (b10_transfer.load_compile_cache.__doc__ or "")


def test_a_failure_is_logged_even_where_the_handler_raises() -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(record.getMessage())

    @never_raises("failed")
    def failing() -> str:
        raise ValueError("no")

    logger = b10_transfer.get_b10_logger(__name__)
    handler = Raising()
    logger.addHandler(handler)
    try:
        assert failing() == "failed"
    finally:
        logger.removeHandler(handler)


def test_a_keyboard_interrupt_passes() -> None:
    @never_raises("failed")
    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
