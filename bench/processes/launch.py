"""launch.py: starts processes at once and weighs each by itself, as the kernel tells it to a parent (wait4).

stdin: a JSON list of {"argv": [...], "env": {...}}. stdout: a JSON list, in the same order, of {"code", "started_ms" (since the
first start), "elapsed_ms", "cpu_ms", "max_rss_bytes", "stdout", "stderr"}. CPU time is that of the process and all its children; the memory is that
of its largest process, and at least what this interpreter had when it forked (10 MB).
"""
import json
import os
import sys
import tempfile
import time


def start(command):
    output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    started = time.monotonic()
    pid = os.posix_spawnp(
        command["argv"][0],
        command["argv"],
        command["env"],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ],
    )
    return pid, started, output, errors


def text(file):
    file.seek(0)
    return file.read().decode(errors="replace")


running = {}
results = []
began = time.monotonic()
for command in json.load(sys.stdin):
    pid, *rest = start(command)
    running[pid] = (len(results), rest)
    results.append(None)
while running:
    pid, status, usage = os.wait4(-1, 0)
    ended = time.monotonic()
    at, (started, output, errors) = running.pop(pid)
    results[at] = {
        "code": os.waitstatus_to_exitcode(status),
        "started_ms": (started - began) * 1000,
        "elapsed_ms": (ended - started) * 1000,
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
        "max_rss_bytes": usage.ru_maxrss * 1024,
        "stdout": text(output),
        "stderr": text(errors),
    }
json.dump(results, sys.stdout)
