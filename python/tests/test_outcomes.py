"""Every way in which the program can end, as load, save and clear tell it."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import Install, Lines, answer

import b10_transfer
from b10_transfer import (
    OperationStatus,
    clear_local_cache,
    last_result,
    load_compile_cache,
    process,
    program,
    save_compile_cache,
)


@pytest.mark.parametrize("status", list(OperationStatus))
def test_each_status_is_returned_and_remembered(install: Install, status: OperationStatus) -> None:
    install(answer(status=status.name, code="bad_setting" if status == OperationStatus.ERROR else None))
    assert load_compile_cache() is status
    result = last_result()
    assert result is not None
    assert result.status is status


def test_the_numbers_of_the_statuses_are_b10_transfers() -> None:
    assert {status.name: status.value for status in OperationStatus} == {
        "SUCCESS": 1,
        "ERROR": 2,
        "DOES_NOT_EXIST": 3,
        "SKIPPED": 4,
    }


def test_a_success_is_remembered_with_its_details(install: Install, lines: Lines) -> None:
    install(answer(key="ab", generation=4, files=711, bytes=38, stored_bytes=2, elapsed_ms=84, extra=[1]))
    load_compile_cache()
    result = last_result()
    assert result is not None
    assert (result.operation, result.code, result.key, result.generation) == ("load", None, "ab", 4)
    assert (result.files, result.bytes, result.stored_bytes, result.elapsed_ms) == (711, 38, 2, 84)
    assert result.message == "fine"
    assert result.raw["extra"] == [1]
    assert lines.at(logging.INFO) == ["load SUCCESS: fine"]


def test_a_result_cannot_be_changed(install: Install) -> None:
    install(answer())
    load_compile_cache()
    with pytest.raises(AttributeError):
        last_result().files = 3  # type: ignore[misc, union-attr]


def test_an_error_has_its_code_and_a_line_in_the_log(install: Install, lines: Lines) -> None:
    install(answer(status="ERROR", code="bad_setting", message="Cannot use X") + "\nsys.exit(1)")
    assert save_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "bad_setting"
    assert lines.at(logging.ERROR) == ["load ERROR (bad_setting): Cannot use X"]


def test_nothing_is_remembered_before_the_first_operation() -> None:
    assert last_result() is None


@pytest.mark.parametrize(
    ("status", "cleared"), [("SUCCESS", True), ("SKIPPED", True), ("ERROR", False), ("NONSENSE", False)]
)
def test_clear_says_whether_the_directory_is_empty_now(install: Install, status: str, cleared: bool) -> None:
    install(answer(operation="clear", status=status))
    assert clear_local_cache() is cleared


@pytest.mark.parametrize(
    ("function", "command"),
    [("load_compile_cache", "load"), ("save_compile_cache", "save"), ("clear_local_cache", "clear")],
)
def test_each_function_runs_its_command(install: Install, function: str, command: str) -> None:
    install(
        "report = {'operation': sys.argv[1], 'status': 'SUCCESS', 'argv': sys.argv[1:]}\nprint(json.dumps(report))"
    )
    getattr(b10_transfer, function)()
    result = last_result()
    assert result is not None
    assert result.raw["argv"] == [command, "--json"]


NO_RESULT = {
    "garbage": "print('Segmentation fault')",
    "nothing": "",
    "blank lines": "print('\\n\\n')",
    "no object": "print('[1]')",
    "half an object": 'sys.stdout.write(\'{"status": "SUCC\')',
    "an unknown status": answer(status="PERHAPS"),
    "a status that is no text": answer(status=["SUCCESS"]),
    "no status": "print('{}')",
    "not UTF-8": "sys.stdout.buffer.write(b'\\xff\\xfe{}\\n')",
    "deep nesting": "print('[' * 100000)",
    "a NUL": "sys.stdout.write('\\0')",
}


@pytest.mark.parametrize("body", NO_RESULT.values(), ids=NO_RESULT.keys())
def test_an_answer_that_is_none_is_an_error(install: Install, lines: Lines, body: str) -> None:
    install(body)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.status is OperationStatus.ERROR
    assert result.code == "program_no_result" or "recursion" in result.message
    assert len(lines.at(logging.ERROR)) == 1


def test_only_the_last_line_of_stdout_is_the_answer(install: Install) -> None:
    install("print('a word before')\n" + answer(status="SKIPPED"))
    assert load_compile_cache() is OperationStatus.SKIPPED


@pytest.mark.parametrize("name", ["SIGKILL", "SIGILL", "SIGSEGV", "SIGTERM"])
def test_a_program_that_a_signal_ends_is_an_error(install: Install, lines: Lines, name: str) -> None:
    install(f"os.kill(os.getpid(), signal.{name})")
    assert load_compile_cache() is OperationStatus.ERROR
    assert f"ended by {name}" in lines.at(logging.ERROR)[0]


def test_a_program_that_is_not_there_is_an_error_that_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "program_not_found"
    assert str(tmp_path) in result.message
    assert "install the b10-transfer wheel" in lines.at(logging.ERROR)[0]


def test_a_program_that_is_not_executable_is_an_error(install: Install) -> None:
    install(answer()).chmod(stat.S_IRUSR)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert "not executable" in result.message


def test_a_program_for_another_machine_is_an_error(install: Install) -> None:
    install("").write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 200)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "program_not_started"
    assert "another machine" in result.message


def test_a_program_whose_loader_is_missing_is_an_error(install: Install) -> None:
    install("").write_text("#!/lib/ld-absent.so.1\n")
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert "another C library" in result.message


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EACCES])
def test_a_process_that_cannot_be_made_is_an_error(
    install: Install, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    install(answer())

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "program_not_started"


def test_an_error_that_nobody_foresaw_is_an_error(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(answer())
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: 1 / 0)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "internal"


def test_lines_on_stderr_are_logged_at_their_level_while_the_program_runs(
    install: Install, lines: Lines, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"

    class Witness(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "the share is slow":
                seen.touch()

    witness = Witness()
    logger = logging.getLogger("b10_transfer.cache")
    logger.addHandler(witness)
    try:
        install(
            "for text in ('reading', 'warning: the share is slow', 'error: gone'):\n"
            "    print('b10-compile-cache: ' + text, file=sys.stderr, flush=True)\n"
            "print('of another program', file=sys.stderr)\n"
            f"for _ in range(1000):\n    if os.path.exists({str(seen)!r}): break\n    time.sleep(0.01)\n"
            f"else: sys.exit('not logged while it ran')\n" + answer()
        )
        assert load_compile_cache() is OperationStatus.SUCCESS
    finally:
        logger.removeHandler(witness)
    assert lines.at(logging.WARNING) == ["the share is slow"]
    assert lines.at(logging.ERROR) == ["gone"]
    assert lines.at(logging.INFO) == ["reading", "of another program", "load SUCCESS: fine"]


def test_much_on_stderr_and_stdout_blocks_nothing(install: Install, lines: Lines) -> None:
    install(
        "for i in range(20000):\n"
        "    print('x' * 100, file=sys.stderr)\n"
        "    print('y' * 100)\n"
        "sys.stderr.write('z' * 3000000)\n" + answer()
    )
    assert load_compile_cache() is OperationStatus.SUCCESS
    assert len(lines.records) == 20000 + 1 + 1


def test_lines_that_are_not_utf8_are_logged_all_the_same(install: Install, lines: Lines) -> None:
    install("sys.stderr.buffer.write(b'caf\\xe9 100%s %d\\n')\n" + answer())
    assert load_compile_cache() is OperationStatus.SUCCESS
    assert lines.texts[0] == "caf\N{REPLACEMENT CHARACTER} 100%s %d"


def test_a_log_handler_that_raises_changes_nothing(
    install: Install, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_record: logging.LogRecord) -> None:
        raise RuntimeError("no log today")

    monkeypatch.setattr(lines, "emit", fail)
    install("print('a line', file=sys.stderr)\n" + answer(status="SKIPPED"))
    assert load_compile_cache() is OperationStatus.SKIPPED


def test_a_process_that_outlives_the_program_holds_nothing_up(install: Install) -> None:
    install("if os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\n" + answer())
    before = time.monotonic()
    assert load_compile_cache() is OperationStatus.SUCCESS
    assert time.monotonic() - before < 30


def test_the_end_of_the_program_is_noticed_at_once(install: Install) -> None:
    install(answer())
    took: list[float] = []
    for _ in range(5):
        before = time.monotonic()
        load_compile_cache()
        took.append(time.monotonic() - before)
    # A clock that is looked at twice a second would cost half of one.
    assert min(took) < 0.4


def test_a_program_that_no_longer_looks_at_its_clock_is_stopped(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "_safety_net_s", lambda _operation: 1.0)
    pid_file = tmp_path / "pid"
    install(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    monkeypatch.setattr(process, "_TERMINATE_S", 0.5)
    assert load_compile_cache() is OperationStatus.ERROR
    result = last_result()
    assert result is not None
    assert result.code == "program_timed_out"
    assert not _alive(int(pid_file.read_text()))


@pytest.mark.parametrize(
    ("operation", "value", "net_s"),
    [
        ("load", None, 180),
        ("load", "1000", 2060),
        ("load", "1", 180),
        ("load", "soon", 180),
        ("load", "", 180),
        ("save", None, 1260),
        ("clear", None, None),
        ("automatic", None, None),
    ],
)
def test_the_safety_net_lies_well_beyond_the_programs_own_deadline(
    monkeypatch: pytest.MonkeyPatch, operation: str, value: str | None, net_s: float | None
) -> None:
    if value is not None:
        monkeypatch.setenv(f"B10_CACHE_{operation.upper()}_TIMEOUT_S", value)
    assert program._safety_net_s(operation) == net_s


def test_a_keyboard_interrupt_passes_once_the_program_has_ended(install: Install, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    cleaned = tmp_path / "cleaned"
    install(
        "def clean(*_):\n"
        f"    time.sleep(0.2)\n    open({str(cleaned)!r}, 'w').close()\n    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, clean)\n"
        f"open({str(pid_file)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(pid_file)!r} + '.new', {str(pid_file)!r})\n"
        "time.sleep(60)"
    )

    def interrupt() -> None:
        while not pid_file.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        load_compile_cache()
    thread.join()
    assert cleaned.exists()
    assert not _alive(int(pid_file.read_text()))


def test_operations_in_threads_do_not_disturb_each_other(install: Install) -> None:
    install("print('a line', file=sys.stderr)\n" + answer(status="SKIPPED"))
    statuses: list[OperationStatus] = []
    threads = [threading.Thread(target=lambda: statuses.append(load_compile_cache())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [OperationStatus.SKIPPED] * 8


def test_no_file_stays_open(install: Install) -> None:
    install(answer())
    load_compile_cache()
    before = _open_files()
    for _ in range(3):
        load_compile_cache()
    assert _open_files() == before


ENVIRONMENT = "print(json.dumps({'operation': 'load', 'status': 'SUCCESS', 'env': dict(os.environ)}))"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, sys.executable), ("", sys.executable), ("/usr/bin/other", "/usr/bin/other")],
)
def test_this_python_decides_the_key_unless_the_user_names_another(
    install: Install, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    if given is not None:
        monkeypatch.setenv("B10_CACHE_PYTHON", given)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/tmp/as set in this process")
    install(ENVIRONMENT)
    before = dict(os.environ)
    load_compile_cache()
    assert dict(os.environ) == before
    result = last_result()
    assert result is not None
    env = result.raw["env"]
    assert isinstance(env, dict)
    assert env["B10_CACHE_PYTHON"] == expected
    assert env["TORCHINDUCTOR_CACHE_DIR"] == "/tmp/as set in this process"


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
