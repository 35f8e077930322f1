#!/usr/bin/env python3
"""prove_gpu.py BINARY: a real torch.compile with Triton on this machine's GPU, cold, saved and restored to another path.

Each compilation is a process of its own with a home of its own; Inductor's counters and the times are the proof. For
comparison the same cache copied to another path as it is, whose group files lead nowhere. Needs a Python with torch for
the GPU and transformers: the one that runs this. Prints a table, and one line of JSON as the last.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SCRIPT = pathlib.Path(__file__).with_name("compile_llama.py")
LENGTHS, LAYERS = "64,128,256", "16"


def settings(base: pathlib.Path, name: str) -> dict[str, str]:
    pod = base / name
    (pod / "work").mkdir(parents=True)
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("TORCHINDUCTOR_", "TRITON_", "B10"))}
    return {
        **keep,
        "HOME": str(pod),
        "TORCHINDUCTOR_CACHE_DIR": str(pod / "inductor"),
        "LOCAL_WORK_DIR": str(pod / "work"),
        "B10FS_CACHE_DIR": str(base / "share" / "compile_cache"),
        "B10_CACHE_PYTHON": sys.executable,
    }


def compile_model(env: dict[str, str]) -> dict[str, object]:
    command = [sys.executable, str(SCRIPT), LENGTHS, LAYERS]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(ran.stderr)
    return json.loads(ran.stdout.strip().splitlines()[-1])


def program(binary: str, env: dict[str, str], *args: str) -> dict[str, object]:
    began = time.perf_counter()
    ran = subprocess.run([binary, *args, "--json"], env=env, capture_output=True, text=True, check=False)
    report = json.loads(ran.stdout.strip().splitlines()[-1])
    report["process_s"] = round(time.perf_counter() - began, 3)
    print(f"{' '.join(args):28} {report['status']:9} {report['process_s']:6.3f} s  {report['message']}", flush=True)
    return report


def main() -> None:
    binary = sys.argv[1]
    base = pathlib.Path(tempfile.mkdtemp(prefix="b10-gpu-"))
    (base / "share").mkdir()
    runs: dict[str, dict[str, object]] = {}

    def run(name: str, env: dict[str, str]) -> None:
        runs[name] = compile_model(env)
        inductor = runs[name]["inductor"]
        print(f"{name:28} compile {runs[name]['compile_s']:7} s  {inductor}", flush=True)

    one = settings(base, "one")
    run("cold", one)
    saved = program(binary, one, "save")
    run("warm, the same directory", one)
    two = settings(base, "two")
    loaded = program(binary, two, "load")
    run("restored to another path", two)
    three = settings(base, "three")
    shutil.copytree(one["TORCHINDUCTOR_CACHE_DIR"], three["TORCHINDUCTOR_CACHE_DIR"])
    run("copied to another path", three)
    again = program(binary, two, "save")
    status = program(binary, two, "status")
    print(json.dumps({
        "environment": status["environment"],
        "key": status["key"],
        "runs": runs,
        "save": saved,
        "load": loaded,
        "save_again": again,
    }))
    shutil.rmtree(base)


if __name__ == "__main__":
    main()
