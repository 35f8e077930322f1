"""The built program behind the package: the whole life of a cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Lines

from b10_transfer import (
    OperationStatus,
    clear_local_cache,
    get_cache_info,
    last_result,
    list_available_caches,
    load_compile_cache,
    save_compile_cache,
    save_vllm_compile_cache,
)
from b10_transfer.result import OperationResult

pytestmark = pytest.mark.binary


def compile_something(pod: dict[str, Path]) -> dict[str, bytes]:
    files = {"fxgraph/ab/graph": b"graph" * 5000, "triton/0/kernel.cubin": b"\x7fELF" * 100}
    for name, content in files.items():
        path = pod["torch"] / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return files


def last() -> OperationResult:
    result = last_result()
    assert result is not None
    return result


def test_a_cold_pod_saves_and_a_cleared_one_loads(pod: dict[str, Path]) -> None:
    assert load_compile_cache() is OperationStatus.DOES_NOT_EXIST
    key = last().key
    assert key is not None
    files = compile_something(pod)

    assert save_compile_cache() is OperationStatus.SUCCESS
    saved = last()
    assert (saved.operation, saved.key, saved.generation, saved.files) == ("save", key, 1, len(files))
    assert saved.bytes == sum(map(len, files.values()))
    assert saved.stored_bytes > 0
    assert saved.raw["status"] == "SUCCESS"

    assert save_compile_cache() is OperationStatus.SKIPPED
    assert load_compile_cache() is OperationStatus.SKIPPED
    assert clear_local_cache() is True
    assert list(pod["torch"].iterdir()) == []
    assert clear_local_cache() is True

    assert load_compile_cache() is OperationStatus.SUCCESS
    assert (last().key, last().generation, last().files) == (key, 1, len(files))
    assert {name: (pod["torch"] / name).read_bytes() for name in files} == files


def test_nothing_to_save_is_skipped(pod: dict[str, Path]) -> None:
    assert save_compile_cache() is OperationStatus.SKIPPED


def test_a_cache_directory_that_is_not_there_is_clear(pod: dict[str, Path]) -> None:
    pod["torch"].rmdir()
    assert clear_local_cache() is True


def test_info_and_list_say_what_was_saved(pod: dict[str, Path]) -> None:
    info = get_cache_info()
    assert (info["local_cache_exists"], info["b10fs_cache_exists"], info["b10fs_enabled"]) == (
        False,
        False,
        True,
    )
    assert list_available_caches()["caches"] == []
    compile_something(pod)
    save_compile_cache()
    key = last().key

    info = get_cache_info()
    assert info["environment_key"] == key
    assert info["local_cache_exists"] is True
    assert info["b10fs_cache_exists"] is True
    assert info["local_cache_size_mb"] == pytest.approx(25400 / 2**20)
    assert info["b10fs_cache_size_mb"] == pytest.approx(last().stored_bytes / 2**20)

    listed = list_available_caches()
    assert listed["current_environment"] == key
    assert (listed["total_caches"], listed["current_cache_exists"]) == (1, True)
    [cache] = listed["caches"]
    assert cache["environment_key"] == key
    assert cache["filename"] == f"native/{key}"
    assert (pod["share"] / "compile_cache" / cache["filename"]).is_dir()
    assert cache["size_mb"] == info["b10fs_cache_size_mb"]
    assert cache["created_time"] == pytest.approx((pod["share"] / "compile_cache").stat().st_mtime, abs=600)


def test_the_command_line_and_python_have_one_key(
    pod: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_compile_cache()
    monkeypatch.setenv("B10_CACHE_PYTHON", sys.executable)
    out = subprocess.run(["b10-compile-cache", "load", "--json"], capture_output=True, check=True).stdout  # noqa: S607
    assert json.loads(out)["key"] == last().key


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("MAX_CACHE_SIZE_MB", "many", "bad_setting"),
        ("BASETEN_FS_ENABLED", "0", "disabled"),
        ("B10FS_CACHE_DIR", "/absent/store", "path_outside_prefix"),
    ],
)
def test_a_bad_setting_is_an_error_with_its_code(
    pod: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    lines: Lines,
    variable: str,
    value: str,
    code: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert load_compile_cache() is OperationStatus.ERROR
    assert last().code == code
    assert variable in lines.texts[-1]
    assert save_compile_cache() is OperationStatus.ERROR
    answer = list_available_caches()
    assert answer["caches"] == []
    assert isinstance(answer["error"], str)


def test_a_directory_out_of_bounds_is_not_cleared(
    pod: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/absent/torch")
    assert clear_local_cache() is False
    assert last().code == "path_outside_prefix"


def test_the_automatic_mode_exits_with_2_where_no_server_comes(
    pod: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path / "vllm"))
    # Nothing listens on the port for "discard".
    monkeypatch.setenv("B10_TRANSFER_VLLM_URL", "http://127.0.0.1:9/v1/models")
    monkeypatch.setenv("B10_TRANSFER_TIMEOUT_S", "1")
    monkeypatch.setenv("B10_TRANSFER_INTERVAL_S", "0.2")
    with pytest.raises(SystemExit) as exited:
        save_vllm_compile_cache()
    assert exited.value.code == 2
    assert last().operation == "automatic"
