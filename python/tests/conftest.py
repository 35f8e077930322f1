"""What the tests share: a program that plays b10-compile-cache, and the built one in directories of its own."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import sysconfig
from pathlib import Path
from typing import Callable

import pytest

import b10_transfer.last
from b10_transfer import get_b10_logger

PROJECT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("B10_TEST_BINARY") or PROJECT / "dist" / "b10-compile-cache")

# Settings of the shell that runs the tests would mix with theirs.
SETTINGS = ("B10", "TORCHINDUCTOR_", "VLLM_", "LOCAL_", "MAX_C", "MIN_", "CLEANUP_", "BASETEN_", "NO_COLOR")

Install = Callable[[str], Path]


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def at(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno == level]


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from outside, and no operation yet."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setattr(b10_transfer.last, "_last", None)


@pytest.fixture(autouse=True)
def no_installed_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only programs on the PATH are found, whatever this Python's own scripts are."""
    monkeypatch.setattr(sysconfig, "get_path", lambda *_args, **_options: "/nowhere")


@pytest.fixture
def lines() -> Lines:
    """What all loggers of the package get."""
    handler = Lines()
    names = ["b10_transfer.cache", "b10_transfer.core", "b10_transfer.info", "b10_transfer.vllm_cache"]
    for name in names:
        get_b10_logger(name).addHandler(handler)
    return handler


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a Python script that plays the program on the PATH, alone there."""

    def write(body: str) -> Path:
        bin_dir = tmp_path / "bin"
        bin_dir.mkdir(exist_ok=True)
        program = bin_dir / "b10-compile-cache"
        program.write_text(f"#!{sys.executable} -IS\nimport json, os, signal, sys, time\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(bin_dir))
        return program

    return write


def answer(**fields: object) -> str:
    """The line of a script that prints a report as the program does."""
    report = {"operation": "load", "status": "SUCCESS", "elapsed_ms": 1, "message": "fine", **fields}
    return f"print({json.dumps(report)!r})"


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The built program on the PATH, with a cache directory and a share of this test's own."""
    if not BINARY.is_file():
        pytest.skip(f"{BINARY} is not there: npx -y deno@2.9.6 task build")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "b10-compile-cache").symlink_to(BINARY)
    dirs = {"torch": tmp_path / "torch", "share": tmp_path / "share", "work": tmp_path / "work"}
    for directory in dirs.values():
        directory.mkdir()
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(dirs["torch"]))
    monkeypatch.setenv("B10FS_CACHE_DIR", str(dirs["share"] / "compile_cache"))
    monkeypatch.setenv("LOCAL_WORK_DIR", str(dirs["work"]))
    monkeypatch.setenv("B10_CACHE_ALLOWED_PREFIXES", str(tmp_path))
    return dirs
