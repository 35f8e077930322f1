"""get_b10_logger(): b10-transfer's name and form of lines, and nothing done to anybody else's."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from b10_transfer import get_b10_logger
from b10_transfer.log_format import ColoredFormatter
from b10_transfer.log_lines import parse_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> logging.Logger:
    return get_b10_logger(f"b10_transfer.test.{request.node.name}")


def test_a_line_says_level_and_package(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("loaded %d files", 3)
    assert capsys.readouterr().err == "INFO - [b10-transfer log] loaded 3 files\n"


def test_the_same_name_gets_one_handler(logger: logging.Logger) -> None:
    assert get_b10_logger(logger.name) is logger
    assert len(logger.handlers) == 1
    assert logger.propagate is False
    assert logger.level == logging.INFO


def test_a_level_that_the_user_set_stays(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("b10_transfer.test.quiet").setLevel(logging.ERROR)
    get_b10_logger("b10_transfer.test.quiet").info("nobody wants this")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "color"),
    [(logging.INFO, 96), (logging.WARNING, 93), (logging.ERROR, 91), (logging.CRITICAL, 91)],
)
def test_a_terminal_gets_colours(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, level: int, color: int
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logger.log(level, "text")
    monkeypatch.setenv("NO_COLOR", "1")
    logger.log(level, "text")
    name = logging.getLevelName(level)
    assert terminal.getvalue() == (
        f"{name} - \033[{color}m[b10-transfer log] text\033[0m\n{name} - [b10-transfer log] text\n"
    )


def test_other_handlers_get_the_record_as_it_was() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "a %s", ("b",), None)
    ColoredFormatter().format(record)
    assert (record.msg, record.args) == ("a %s", ("b",))


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_stderr_that_is_gone_raises_nothing(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    gone = None
    if stream == "closed":
        gone = io.StringIO()
        gone.close()
    monkeypatch.setattr(sys, "stderr", gone)
    logger.info("text")


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("b10-compile-cache: text", logging.INFO, "text"),
        ("b10-compile-cache: warning: text", logging.WARNING, "text"),
        ("b10-compile-cache: error: text", logging.ERROR, "text"),
        ("b10-compile-cache: no warning: text", logging.INFO, "no warning: text"),
        ("error: text", logging.ERROR, "text"),
        ("", logging.INFO, ""),
    ],
)
def test_the_level_of_a_line(line: str, level: int, text: str) -> None:
    assert parse_line(line) == (level, text)
