"""save_vllm_compile_cache(): the automatic mode, and its exit statuses."""

from __future__ import annotations

import os

import pytest
from conftest import Install, answer

from b10_transfer import OperationStatus, last_result, save_vllm_compile_cache


def test_it_runs_the_program_without_a_command_and_returns_none(install: Install) -> None:
    install("assert sys.argv[1:] == ['--json'], sys.argv\n" + answer(operation="automatic"))
    before = dict(os.environ)
    assert save_vllm_compile_cache() is None  # type: ignore[func-returns-value]
    assert dict(os.environ) == before
    result = last_result()
    assert result is not None
    assert (result.operation, result.status) == ("automatic", OperationStatus.SUCCESS)


@pytest.mark.parametrize("code", [1, 2, 3, 130, 143])
def test_it_exits_with_the_programs_own_status(install: Install, code: int) -> None:
    install(answer(operation="automatic", status="ERROR", code="deadline") + f"\nsys.exit({code})")
    with pytest.raises(SystemExit) as exited:
        save_vllm_compile_cache()
    assert exited.value.code == code


def test_it_exits_as_a_shell_does_where_a_signal_ends_the_program(install: Install) -> None:
    install(answer(operation="automatic") + "\nsys.stdout.flush()\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(SystemExit) as exited:
        save_vllm_compile_cache()
    assert exited.value.code == 128 + 9


@pytest.mark.parametrize("body", ["", "print('garbage')"])
def test_it_exits_with_1_where_the_program_says_nothing_of_its_end(install: Install, body: str) -> None:
    install(body)
    with pytest.raises(SystemExit) as exited:
        save_vllm_compile_cache()
    assert exited.value.code == 1
