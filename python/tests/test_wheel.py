"""The wheel: what is in it, and that it works wherever pip installs it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import BINARY, PROJECT

import b10_transfer

pytestmark = pytest.mark.binary

LOAD = "import b10_transfer as b; print(b.load_compile_cache().name, b.last_result().message, b.__file__, sep='\\n')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that B10_TEST_WHEEL names, or one that is built of dist/b10-compile-cache."""
    given = os.environ.get("B10_TEST_WHEEL")
    if given:
        return Path(given)
    pytest.importorskip("hatchling", reason="only the development environment builds wheels")
    return build(tmp_path_factory.mktemp("wheel"))


def build(directory: Path) -> Path:
    if not BINARY.is_file():
        pytest.skip(f"{BINARY} is not there: npx -y deno@2.9.6 task build")
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)],
        cwd=PROJECT / "python",
        env={**os.environ, "B10_WHEEL_BINARY": str(BINARY), "B10_WHEEL_PLATFORM": tag},
        check=True,
        capture_output=True,
    )
    [wheel] = directory.glob("*.whl")
    return wheel


def pip(python: str | Path, *arguments: str) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run(
        [str(python), "-m", "pip", "install", *options, *arguments], check=True, capture_output=True
    )


def pod_environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """What a pod has: no binary on the PATH."""
    (tmp_path / "share").mkdir()
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "torch"),
        "B10FS_CACHE_DIR": str(tmp_path / "share" / "compile_cache"),
        "LOCAL_WORK_DIR": str(tmp_path / "work"),
        "B10_CACHE_ALLOWED_PREFIXES": str(tmp_path),
        **more,
    }


def assert_loads(python: str | Path, place: Path, env: dict[str, str]) -> None:
    argv = [str(python), "-c", LOAD]
    finished = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, cwd="/")
    status, message, file = finished.stdout.splitlines()
    assert status == "DOES_NOT_EXIST", message
    assert Path(file).is_relative_to(place)
    assert "INFO - [b10-transfer log] load DOES_NOT_EXIST" in finished.stderr


def test_it_holds_the_package_the_program_and_nothing_else(wheel: Path) -> None:
    version = b10_transfer.__version__
    package = {path.name for path in Path(b10_transfer.__file__).parent.iterdir() if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        info = f"b10_transfer-{version}.dist-info"
        program = f"b10_transfer-{version}.data/scripts/b10-compile-cache"
        assert set(entries) == {
            *(f"b10_transfer/{name}" for name in package),
            program,
            *(f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")),
        }
        assert entries[program].external_attr >> 16 & 0o777 == 0o755
        metadata = archive.read(f"{info}/METADATA").decode()
        tag = archive.read(f"{info}/WHEEL").decode()
    assert "Name: b10-transfer\n" in metadata
    assert f"Version: {version}\n" in metadata
    assert "Requires-Python: >=3.9\n" in metadata
    assert "Requires-Dist" not in metadata
    assert f"Tag: {'-'.join(wheel.stem.split('-')[2:])}\n" in tag
    assert "Root-Is-Purelib: false\n" in tag


def test_it_works_in_a_virtual_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip(venv / "bin" / "python", str(wheel))
    program = venv / "bin" / "b10-compile-cache"
    out = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    assert out.strip() == b10_transfer.__version__
    assert_loads(venv / "bin" / "python", venv, pod_environment(tmp_path))


def test_it_works_in_a_directory_of_its_own(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    pip(sys.executable, "--target", str(target), str(wheel))
    assert_loads(sys.executable, target, pod_environment(tmp_path, PYTHONPATH=str(target)))


def test_it_works_below_a_prefix(wheel: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    pip(sys.executable, "--ignore-installed", "--prefix", str(prefix), str(wheel))
    [site] = prefix.glob("lib*/python3.*/site-packages")
    assert_loads(sys.executable, prefix, pod_environment(tmp_path, PYTHONPATH=str(site)))


def test_one_binary_always_makes_one_wheel(wheel: Path, tmp_path: Path) -> None:
    if os.environ.get("B10_TEST_WHEEL"):
        pytest.skip("the wheel that was given may be of another machine's binary")
    assert wheel.read_bytes() == build(tmp_path).read_bytes()


@pytest.mark.skipif(platform.system() != "Linux" or not shutil.which("readelf"), reason="needs readelf")
def test_the_program_needs_no_newer_c_library_than_the_tag_promises(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/scripts/b10-compile-cache")]
        program = archive.extract(name, tmp_path)
    command = ["readelf", "--version-info", program]
    needed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    versions = [tuple(map(int, number.split("."))) for number in re.findall(r"GLIBC_([0-9.]+)", needed)]
    assert max(versions, default=(0,)) <= (2, 17)


def test_without_its_binary_no_wheel_is_built(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="only the development environment builds wheels")
    env = {name: value for name, value in os.environ.items() if not name.startswith("B10_")}
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    finished = subprocess.run(
        argv, cwd=PROJECT / "python", env=env, capture_output=True, text=True, check=False
    )
    assert finished.returncode != 0
    assert "Cannot build a wheel without its binary" in finished.stderr


def test_every_binary_that_a_wheel_is_for_is_released() -> None:
    build_script = (PROJECT / "scripts" / "build.ts").read_text()
    wheel_script = (PROJECT / "scripts" / "wheel.ts").read_text()
    targets = re.findall(r'^  "([a-z0-9-]+)": "(?:many|musl|mac)', wheel_script, re.MULTILINE)
    assert len(targets) == 6
    assert all(json.dumps(target) in build_script for target in targets)
