"""Where the program is looked for."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from b10_transfer import errors, find_program

NAME = "b10-compile-cache"


def put(directory: Path, content: str = "#!/bin/sh\n", mode: int = 0o755) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    path.write_text(content)
    path.chmod(mode)
    return str(path)


def installed_in(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    monkeypatch.setattr(find_program, "__file__", str(site / "b10_transfer" / "find_program.py"))


@pytest.fixture(autouse=True)
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "on the path"))
    return tmp_path / "on the path"


@pytest.mark.parametrize(
    ("site", "scripts"),
    [
        ("venv/lib/python3.12/site-packages", "venv/bin"),
        ("venv/lib64/python3.12/site-packages", "venv/bin"),
        ("usr/local/lib/python3.11/dist-packages", "usr/local/bin"),
        ("target", "target/bin"),
    ],
)
def test_it_is_found_where_pip_puts_it_for_this_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path, site: str, scripts: str
) -> None:
    put(empty_path)
    expected = put(tmp_path / scripts)
    installed_in(monkeypatch, tmp_path / site)
    assert find_program.find_program() == expected


@pytest.mark.parametrize("asked", ["scripts", "user", "base"])
def test_it_is_found_in_the_directories_that_this_python_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path, asked: str
) -> None:
    def get_path(_name: str, scheme: str = "", vars: dict[str, str] | None = None) -> str:  # noqa: A002
        return str(tmp_path / ("base" if vars else "user" if scheme else "scripts"))

    monkeypatch.setattr(sysconfig, "get_path", get_path)
    put(empty_path)
    expected = put(tmp_path / asked)
    installed_in(monkeypatch, tmp_path / "src")
    assert find_program.find_program() == expected


def test_the_path_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path) -> None:
    installed_in(monkeypatch, tmp_path / "src")
    expected = put(empty_path)
    assert find_program.find_program() == expected


def test_b10_transfers_own_script_of_that_name_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path
) -> None:
    installed_in(monkeypatch, tmp_path / "target")
    put(
        tmp_path / "target" / "bin",
        "#!/usr/bin/python3\nimport sys\nfrom b10_transfer.vllm_cache import main\n",
    )
    expected = put(empty_path)
    assert find_program.find_program() == expected


def test_one_that_is_not_executable_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path
) -> None:
    installed_in(monkeypatch, tmp_path / "target")
    put(tmp_path / "target" / "bin", mode=0o644)
    expected = put(empty_path)
    assert find_program.find_program() == expected


def test_a_directory_of_that_name_is_not_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_path: Path
) -> None:
    installed_in(monkeypatch, tmp_path / "target")
    (tmp_path / "target" / "bin" / NAME).mkdir(parents=True)
    with pytest.raises(errors.ProgramError, match="Cannot find"):
        find_program.find_program()


def test_the_working_directory_is_not_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_in(monkeypatch, tmp_path / "src")
    put(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", ":.:")
    with pytest.raises(errors.ProgramError):
        find_program.find_program()
