"""first_open.py DIR COMMAND...: milliseconds from just before COMMAND is started to the first file or directory that is
opened at or below DIR, on stdout. inotify tells it (IN_OPEN), which costs COMMAND nothing; what only looks (stat) at a
name is not told. COMMAND runs to its end; its exit status is this one's.
"""
import ctypes
import os
import subprocess
import sys
import time

IN_OPEN = 0x20

libc = ctypes.CDLL(None, use_errno=True)
top, command = sys.argv[1], sys.argv[2:]
watcher = libc.inotify_init1(0)
# Listed before they are watched: listing opens them.
for folder in [folder for folder, _, _ in os.walk(top)]:
    if libc.inotify_add_watch(watcher, os.fsencode(folder), IN_OPEN) < 0:
        sys.exit(f"Cannot watch {folder}: {os.strerror(ctypes.get_errno())}")

started = time.monotonic()
process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
os.read(watcher, 4096)
print((time.monotonic() - started) * 1000)
sys.exit(process.wait())
