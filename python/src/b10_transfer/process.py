"""Runs a child process to its end, and never leaves one behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_CHUNK_BYTES = 64 * 1024
# How often the clock is looked at while the child says nothing; its end is noticed at once.
_TICK_S = 0.5
# An interrupted program removes its temporary files first.
_TERMINATE_S = 10.0
# A process that sleeps in the kernel, on a dead share, dies only when that answers: it is not waited for.
_KILL_S = 5.0


class ProcessTimeoutError(Exception):
    """The process took longer than it may."""


@dataclass(frozen=True)
class Finished:
    """What the process left: all of its stdout, and its exit status, or -n after signal n."""

    stdout: bytes
    returncode: int


def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float | None,
    on_stderr_line: Callable[[str], object],
) -> Finished:
    """Runs ``argv`` without stdin, and hands each line of its stderr to ``on_stderr_line`` as it comes.

    Whatever is raised meanwhile, a KeyboardInterrupt for example, passes once the process was told to end and has
    ended. An Exception of ``on_stderr_line`` is dropped: a log that fails is no reason to stop the process.

    Raises:
        OSError: The process cannot be started.
        ProcessTimeoutError: It took longer than ``timeout_s`` seconds, and was stopped.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    with _closing_pipes(
        subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    ) as process:
        try:
            stdout = _read_to_end(process, deadline_s, on_stderr_line)
            return Finished(stdout, _wait(process, deadline_s))
        except BaseException:
            _end(process)
            raise


@contextlib.contextmanager
def _closing_pipes(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _read_to_end(
    process: subprocess.Popen[bytes], deadline_s: float | None, on_stderr_line: Callable[[str], object]
) -> bytes:
    """Reads both pipes in turn as there is something, so that neither fills up and blocks the process."""
    stdout = bytearray()
    line = b""
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(_TICK_S)
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    stdout += chunk
                else:
                    line += chunk
                    *whole, line = line.split(b"\n")
                    _hand_over(whole, on_stderr_line)
            # A process that it started may hold the pipes open for ever.
            if not ready and process.poll() is not None:
                break
            _check(deadline_s)
    _hand_over([line] if line else [], on_stderr_line)
    return bytes(stdout)


def _hand_over(lines: Sequence[bytes], on_stderr_line: Callable[[str], object]) -> None:
    for line in lines:
        with contextlib.suppress(Exception):
            on_stderr_line(line.decode("utf-8", "replace").rstrip("\r"))


def _wait(process: subprocess.Popen[bytes], deadline_s: float | None) -> int:
    while True:
        try:
            return process.wait(_TICK_S)
        except subprocess.TimeoutExpired:
            _check(deadline_s)


def _check(deadline_s: float | None) -> None:
    if deadline_s is not None and time.monotonic() > deadline_s:
        raise ProcessTimeoutError("it was still running long after that")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process: politely first, so that it leaves nothing half-done."""
    try:
        process.terminate()
        process.wait(_TERMINATE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_S)
