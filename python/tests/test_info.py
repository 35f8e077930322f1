"""get_cache_info() and list_available_caches(): b10-transfer's keys and types, from the program's answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Install, Lines

from b10_transfer import get_cache_info, last_result, list_available_caches

MIB = 1024 * 1024
INFO_KEYS = {"environment_key", "local_cache_exists", "b10fs_enabled", "b10fs_cache_exists"}
LIST_KEYS = {"caches", "current_environment", "total_caches", "current_cache_exists", "b10fs_enabled"}


def status_answer(**fields: object) -> dict[str, object]:
    return {
        "operation": "status",
        "status": "SUCCESS",
        "message": "in order",
        "settings": [{"name": "BASETEN_FS_ENABLED", "value": True, "source": "default"}],
        "key": "ab",
        "local": [{"root": "inductor", "dir": "/tmp/x", "files": 2, "bytes": 3 * MIB}],
        "store": {"generation": 3, "layers": 2, "files": 9, "bytes": 9 * MIB, "stored_bytes": 2 * MIB},
        **fields,
    }


def cache(**fields: object) -> dict[str, object]:
    return {
        "key": "ab",
        "generation": 1,
        "layers": 1,
        "files": 1,
        "bytes": 4 * MIB,
        "stored_bytes": MIB,
        "created_at": "2026-01-31T12:00:00.000Z",
        "problem": None,
        **fields,
    }


def play_answers(install: Install, answers: dict[str, object]) -> None:
    install(f"answers = json.loads({json.dumps(answers)!r})\nprint(json.dumps(answers[sys.argv[1]]))")


def play(install: Install, status: dict[str, object], caches: list[dict[str, object]] | None = None) -> None:
    listed = {"operation": "list", "status": "SUCCESS", "message": "caches", "caches": caches or []}
    play_answers(install, {"status": status, "list": listed})


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock on another time zone than the store's."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_info_has_b10_transfers_keys_and_sizes(install: Install) -> None:
    play(install, status_answer())
    assert get_cache_info() == {
        "environment_key": "ab",
        "local_cache_exists": True,
        "b10fs_enabled": True,
        "b10fs_cache_exists": True,
        "local_cache_size_mb": 3.0,
        "b10fs_cache_size_mb": 2.0,
    }


@pytest.mark.parametrize(
    "store",
    [{"generation": None}, {"generation": 4, "layers": 0, "stored_bytes": 0}],
    ids=["never saved", "evicted"],
)
def test_info_has_sizes_only_of_what_exists(install: Install, store: dict[str, object]) -> None:
    play(install, status_answer(store=store, local=[{"files": 0, "bytes": 0}]))
    info = get_cache_info()
    assert set(info) == INFO_KEYS
    assert info["local_cache_exists"] is False
    assert info["b10fs_cache_exists"] is False


ARCHIVE = {
    "key": "3b20c534a035fa77",
    "archive": "cache_3b20c534a035fa77.latest.tar.gz",
    "stored_bytes": 5 * MIB,
}


@pytest.mark.parametrize(
    ("store", "archive", "size_mb"),
    [
        ({"generation": None}, {**ARCHIVE, "off": None}, 5.0),
        ({"generation": 4, "layers": 1, "stored_bytes": MIB}, {**ARCHIVE, "off": None}, 1.0),
        ({"generation": None}, {**ARCHIVE, "off": "B10_CACHE_FOREIGN is off"}, None),
        ({"generation": None}, {**ARCHIVE, "archive": None, "stored_bytes": None, "off": None}, None),
        ({"generation": None}, {"key": None, "problem": "no CUDA", "off": None}, None),
    ],
    ids=["archive alone", "own cache first", "switched off", "no archive", "no key"],
)
def test_an_archive_that_a_load_would_restore_is_a_cache(
    install: Install, store: dict[str, object], archive: dict[str, object], size_mb: float | None
) -> None:
    play(install, status_answer(store=store, b10_transfer=archive))
    info = get_cache_info()
    assert info["b10fs_cache_exists"] is (size_mb is not None)
    assert info.get("b10fs_cache_size_mb") == size_mb


@pytest.mark.parametrize(("off", "current"), [(None, True), ("B10_CACHE_FOREIGN is off", False)])
def test_an_archive_is_of_this_environment_where_a_load_would_restore_it(
    install: Install, off: str | None, current: bool
) -> None:
    file = ARCHIVE["archive"]
    archive = cache(key=ARCHIVE["key"], kind="b10-transfer", file=file, generation=None, layers=0)
    play(install, status_answer(b10_transfer={**ARCHIVE, "off": off}), [archive])
    answer = list_available_caches()
    assert answer["caches"][0]["is_current_environment"] is current
    assert answer["current_cache_exists"] is current


def disabled(torch_dir: Path) -> dict[str, object]:
    return {
        "status": "ERROR",
        "code": "disabled",
        "message": "The shared cache is switched off",
        "settings": [
            {"name": "TORCHINDUCTOR_CACHE_DIR", "value": str(torch_dir)},
            {"name": "BASETEN_FS_ENABLED", "value": False},
        ],
        "key": "ab",
    }


def test_info_measures_the_local_cache_where_the_store_is_switched_off(
    install: Install, tmp_path: Path
) -> None:
    (tmp_path / "torch" / "deep").mkdir(parents=True)
    (tmp_path / "torch" / "deep" / "file").write_bytes(b"x" * MIB)
    play(install, disabled(tmp_path / "torch"))
    assert get_cache_info() == {
        "environment_key": "ab",
        "local_cache_exists": True,
        "b10fs_enabled": False,
        "b10fs_cache_exists": False,
        "local_cache_size_mb": 1.0,
    }


def test_the_list_says_that_the_store_is_switched_off(install: Install, tmp_path: Path) -> None:
    play(install, disabled(tmp_path / "absent"))
    answer = list_available_caches()
    assert answer["caches"] == []
    assert answer["b10fs_enabled"] is False
    assert answer["error"] == "b10fs is not enabled"


def test_the_list_has_b10_transfers_keys_the_newest_first(install: Install, far_away: None) -> None:
    foreign = cache(
        key="3b20c534a035fa77", kind="b10-transfer", file="cache_3b20c534a035fa77.latest.tar.gz", layers=0
    )
    newer = cache(key="cd", kind="native", created_at="2026-02-01T12:00:00.000Z", stored_bytes=2 * MIB)
    play(install, status_answer(), [cache(), newer, {**foreign, "created_at": "2026-01-01T00:00:00.500Z"}])
    answer = list_available_caches()
    assert set(answer) == LIST_KEYS
    assert (answer["current_environment"], answer["total_caches"]) == ("ab", 3)
    assert answer["current_cache_exists"] is True
    assert answer["b10fs_enabled"] is True
    assert answer["caches"] == [
        {
            "filename": "native/cd",
            "environment_key": "cd",
            "size_mb": 2.0,
            "is_current_environment": False,
            "created_time": 1769947200.0,
        },
        {
            "filename": "native/ab",
            "environment_key": "ab",
            "size_mb": 1.0,
            "is_current_environment": True,
            "created_time": 1769860800.0,
        },
        {
            "filename": "cache_3b20c534a035fa77.latest.tar.gz",
            "environment_key": "3b20c534a035fa77",
            "size_mb": 1.0,
            "is_current_environment": False,
            "created_time": 1767225600.5,
        },
    ]


def test_evicted_and_unusable_caches_are_not_available(install: Install) -> None:
    evicted = cache(layers=0)
    unusable = cache(generation=None, layers=0, created_at=None, problem="it has no valid generation")
    damaged = cache(kind="b10-transfer", file="cache_ab.latest.tar.gz", problem="it is no gzip file")
    play(install, status_answer(), [evicted, unusable, damaged])
    answer = list_available_caches()
    assert answer["caches"] == []
    assert answer["total_caches"] == 0
    assert answer["current_cache_exists"] is False
    assert "error" not in answer


MALFORMED: dict[str, Any] = {
    "caches is no list": {"status": "SUCCESS", "caches": 3},
    "a cache is no object": {"status": "SUCCESS", "caches": [3, None, cache()]},
    "numbers are none": {"status": "SUCCESS", "caches": [cache(stored_bytes="many", created_at="soon")]},
}


@pytest.mark.parametrize("listed", MALFORMED.values(), ids=MALFORMED.keys())
def test_answers_of_another_shape_raise_nothing(install: Install, listed: dict[str, object]) -> None:
    both: dict[str, object] = {"status": status_answer(local="here", store=[]), "list": listed}
    play_answers(install, both)
    assert set(get_cache_info()) == INFO_KEYS
    assert set(list_available_caches()) == LIST_KEYS


def test_without_the_program_everything_is_unknown_and_the_log_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert get_cache_info() == {
        "environment_key": None,
        "local_cache_exists": False,
        "b10fs_enabled": False,
        "b10fs_cache_exists": False,
    }
    answer = list_available_caches()
    assert (answer["caches"], answer["current_environment"]) == ([], None)
    assert "Cannot find b10-compile-cache" in answer["error"]
    assert "program_not_found" in lines.at(logging.ERROR)[0]


def test_asking_is_not_an_operation(install: Install) -> None:
    play(install, status_answer(), [cache()])
    get_cache_info()
    list_available_caches()
    assert last_result() is None
