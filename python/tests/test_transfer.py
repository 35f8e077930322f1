"""transfer(): a file is copied whole or not at all, and nothing is raised."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
from conftest import Lines

from b10_transfer import OperationStatus, transfer

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(b"0123456789" * 300_000)
    path.chmod(0o640)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def test_a_file_is_copied_with_its_mode_and_times_into_directories_that_are_made(
    source: Path, tmp_path: Path, lines: Lines
) -> None:
    dest = tmp_path / "a" / "b" / "copy.bin"
    assert transfer(str(source), str(dest)) is OperationStatus.SUCCESS
    assert dest.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    assert dest.stat().st_mtime == 1_600_000_000
    assert lines.texts == [f"transfer SUCCESS: copied 3000000 bytes from {source} to {dest}"]


def test_the_names_of_the_parameters_are_b10_transfers(source: Path, tmp_path: Path) -> None:
    assert transfer(source=str(source), dest=str(tmp_path / "copy")) is OperationStatus.SUCCESS


def test_paths_are_accepted_as_objects_and_relative(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert transfer(source, "copy") is OperationStatus.SUCCESS  # type: ignore[arg-type]
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_an_older_file_is_replaced(source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "copy"
    dest.write_text("older")
    assert transfer(str(source), str(dest)) is OperationStatus.SUCCESS
    assert dest.read_bytes() == source.read_bytes()


def test_a_copy_into_a_directory_gets_the_name_of_the_source(source: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    assert transfer(str(source), str(tmp_path / "into")) is OperationStatus.SUCCESS
    assert (tmp_path / "into" / "source.bin").read_bytes() == source.read_bytes()


def test_the_file_that_a_symlink_leads_to_is_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "far" / "file")
    assert transfer(str(source), str(link)) is OperationStatus.SUCCESS
    assert link.is_symlink()
    assert (tmp_path / "far" / "file").read_bytes() == source.read_bytes()


def test_a_source_that_is_a_symlink_is_copied_as_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    assert transfer(str(tmp_path / "link"), str(tmp_path / "copy")) is OperationStatus.SUCCESS
    assert not (tmp_path / "copy").is_symlink()


def test_an_empty_file_is_copied(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert transfer(str(tmp_path / "empty"), str(tmp_path / "copy")) is OperationStatus.SUCCESS
    assert (tmp_path / "copy").stat().st_size == 0


def test_a_name_may_be_as_long_as_names_can_be(source: Path, tmp_path: Path) -> None:
    assert transfer(str(source), str(tmp_path / ("n" * 255))) is OperationStatus.SUCCESS


@pytest.mark.parametrize("wrong", ["absent", ".", "", "pipe", "null", "with\0nul"])
def test_a_source_that_is_no_file_is_an_error(tmp_path: Path, lines: Lines, wrong: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    assert transfer(str(tmp_path / wrong), str(tmp_path / "copy")) is OperationStatus.ERROR
    assert not (tmp_path / "copy").exists()
    assert len(lines.texts) == 1


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", object()])
def test_what_is_no_path_is_an_error(source: Path, wrong: object) -> None:
    assert transfer(wrong, str(source)) is OperationStatus.ERROR  # type: ignore[arg-type]
    assert transfer(str(source), wrong) is OperationStatus.ERROR  # type: ignore[arg-type]


def test_what_is_no_file_is_never_replaced(source: Path, tmp_path: Path) -> None:
    # A pipe of this test's own stands for /dev/null: a broken check must not cost the machine a device.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    assert transfer(str(source), str(tmp_path / "pipe")) is OperationStatus.ERROR
    assert transfer(str(source), str(tmp_path / "link")) is OperationStatus.ERROR
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_file_is_never_copied_onto_itself(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    os.link(source, tmp_path / "other name")
    assert transfer(str(source), str(source)) is OperationStatus.ERROR
    assert transfer(str(source), str(tmp_path / "other name")) is OperationStatus.ERROR
    assert source.read_bytes() == before


def test_a_file_in_the_place_of_a_directory_is_an_error(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert transfer(str(source), str(tmp_path / "file" / "copy")) is OperationStatus.ERROR


@pytest.mark.parametrize("before", [None, "older"])
def test_a_full_disk_leaves_what_was_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines, before: str | None
) -> None:
    dest = tmp_path / "into" / "copy"
    dest.parent.mkdir()
    if before is not None:
        dest.write_text(before)

    def write_half(_original: object, copy: object, _length: int) -> None:
        copy.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", write_half)
    assert transfer(str(source), str(dest)) is OperationStatus.ERROR
    assert os.listdir(dest.parent) == ([] if before is None else ["copy"])  # noqa: PTH208
    assert before is None or dest.read_text() == before
    assert "No space left" in lines.texts[0]


def test_nothing_is_visible_under_its_name_before_it_is_whole(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "into" / "copy"
    names: list[str] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        names.extend(path.name for path in dest.parent.iterdir())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    assert transfer(str(source), str(dest)) is OperationStatus.SUCCESS
    assert len(names) == 1
    assert names[0].startswith(".b10-transfer-")
    assert [path.name for path in dest.parent.iterdir()] == ["copy"]


def test_a_keyboard_interrupt_removes_the_temporary_file_and_passes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        transfer(str(source), str(tmp_path / "into" / "copy"))
    assert list((tmp_path / "into").iterdir()) == []


def test_a_file_that_has_no_room_is_not_begun(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9, 2_999_999))
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_options: pytest.fail("a file was made"))
    assert transfer(str(source), str(tmp_path / "copy")) is OperationStatus.ERROR
    assert "3000000 bytes must be free there and 2999999 are" in lines.texts[0]


@pytest.mark.parametrize(
    ("settings", "free", "status"),
    [
        ({}, 3_000_000, "SUCCESS"),
        ({"LOCAL_SPACE_ARCHIVE_MULTIPLIER": "2.5"}, 7_499_999, "ERROR"),
        ({"LOCAL_SPACE_ARCHIVE_MULTIPLIER": "2.5"}, 7_500_000, "SUCCESS"),
        ({"LOCAL_SPACE_ARCHIVE_MULTIPLIER": "0.1"}, 2_999_999, "ERROR"),
        ({"MIN_LOCAL_SPACE_MB": "8"}, 8 * 1024 * 1024 - 1, "ERROR"),
        ({"MIN_LOCAL_SPACE_MB": "8"}, 8 * 1024 * 1024, "SUCCESS"),
        ({"MIN_B10FS_SPACE_MB": "8"}, 3_000_000, "SUCCESS"),
        ({"MIN_LOCAL_SPACE_MB": "many"}, 10**9, "ERROR"),
        ({"MIN_LOCAL_SPACE_MB": "nan"}, 10**9, "ERROR"),
        ({"MIN_LOCAL_SPACE_MB": "-1"}, 10**9, "ERROR"),
        ({"MIN_LOCAL_SPACE_MB": ""}, 3_000_000, "SUCCESS"),
    ],
)
def test_settings_demand_more_room(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    free: int,
    status: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 0, free))
    assert transfer(str(source), str(tmp_path / "copy")).name == status


def test_below_the_store_the_stores_own_setting_counts(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 0, 4_000_000))
    monkeypatch.setenv("B10FS_CACHE_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("MIN_B10FS_SPACE_MB", "8")
    assert transfer(str(source), str(tmp_path / "store" / "in" / "copy")) is OperationStatus.ERROR
    assert transfer(str(source), str(tmp_path / "store-beside" / "copy")) is OperationStatus.SUCCESS
