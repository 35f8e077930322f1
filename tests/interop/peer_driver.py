"""peer_driver.py [options] OPERATION…: b10-transfer's operations, one after the other, in one process, as a user's
program calls them; its settings are in the environment. Prints one line of JSON: the seconds of the import, and of each
operation its status and its seconds. The options only decide when it runs, as whom, and on what; the code is its own.
"""
import argparse
import ctypes
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

CLONE_NEWNS = 0x00020000

parser = argparse.ArgumentParser()
parser.add_argument("--dir", type=pathlib.Path, help="where to tell that it is ready, or stopped, and to be told to go on")
parser.add_argument("--hold", action="store_true", help="wait for DIR/go after the import")
parser.add_argument("--stop", choices=["before-lock", "half-copied", "copied"], help="SIGSTOP itself there, once")
parser.add_argument("--uid", type=int, help="act as this user")
parser.add_argument("--torch-version", help="what torch says of its version")
parser.add_argument("--private-tmp", nargs="+", metavar="NAME", help="see a /tmp that holds only these files")
parser.add_argument("--spare", action="store_true", help="tell what would be removed, and remove nothing")
parser.add_argument("operations", nargs="*")
options = parser.parse_args()

spared: list[str] = []

# Its whole family can be ended at once.
os.setsid()

begun = time.perf_counter()
import b10_transfer
from b10_transfer.config import config
from b10_transfer.environment import get_environment_key

import_s = time.perf_counter() - begun
if b10_transfer.__version__ != "0.4.1":
    sys.exit(f"This is b10-transfer {b10_transfer.__version__} of {b10_transfer.__file__}, not 0.4.1")

if sys.version_info >= (3, 14):
    # Its workers are to have what follows; before, this was the default.
    multiprocessing.set_start_method("fork")


def tell(name: str) -> None:
    """Writes its process id into DIR/name, whole."""
    written = options.dir / f"{name}.{os.getpid()}"
    written.write_text(str(os.getpid()))
    written.rename(options.dir / name)


def stop_itself() -> None:
    """What a busy machine, a frozen container or a slow share do at any moment; here at one that is known."""
    tell("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_before_lock() -> None:
    """After it saw that there is no lock, before it makes its own."""
    touch = pathlib.Path.touch

    def stopping(self, *args, **kwargs):
        if self.name == "copy_in.lock":
            stop_itself()
        return touch(self, *args, **kwargs)

    pathlib.Path.touch = stopping


def stop_half_copied() -> None:
    """In the middle of its archive: sendfile may always send less than it was asked for."""
    sendfile = os.sendfile

    def stopping(out_fd, in_fd, offset, count):
        if offset > 0:
            return sendfile(out_fd, in_fd, offset, count)
        sent = sendfile(out_fd, in_fd, offset, os.fstat(in_fd).st_size // 2)
        stop_itself()
        return sent

    os.sendfile = stopping


def stop_copied() -> None:
    """After the last byte of its archive, before it gives it its times."""
    copystat = shutil.copystat

    def stopping(*args, **kwargs):
        stop_itself()
        return copystat(*args, **kwargs)

    shutil.copystat = stopping


def see_private_tmp(names: list[str]) -> None:
    """A mount namespace of its own with a fresh /tmp: nothing that is done there reaches the real one."""
    device = os.stat("/tmp").st_dev
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        sys.exit(f"Cannot hide /tmp: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    if os.stat("/tmp").st_dev == device or os.listdir("/tmp"):
        sys.exit("Cannot hide /tmp: it is still the real one")
    for name in names:
        pathlib.Path("/tmp", name).write_text("not a cache\n")


def import_late_modules() -> None:
    """What an operation imports only when it runs: the other user may not reach this Python's directory."""
    import b10_transfer.archive

    queue = multiprocessing.Queue()
    multiprocessing.Event()
    worker = multiprocessing.Process(target=queue.put, args=(None,))
    worker.start()
    queue.get()
    worker.join()


def gpu_key() -> str:
    """What its own function makes of an H100 with CUDA 12.8, where there is none."""
    import torch

    torch.cuda.is_available = lambda: True
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_properties = lambda _: types.SimpleNamespace(name="NVIDIA H100 80GB HBM3")
    torch.version.cuda = "12.8"
    return get_environment_key()


def spare_trees() -> None:
    """Where no /tmp can be hidden, nothing is removed, and the last operation tells what would have been."""

    def remember(path, *args, **kwargs):
        spared.append(str(path))

    shutil.rmtree = remember


def operate(operation: str) -> str:
    match operation:
        case "load":
            return b10_transfer.load_compile_cache().name
        case "save":
            return b10_transfer.save_compile_cache().name
        case "clear":
            return str(b10_transfer.clear_local_cache())
        case "key":
            return get_environment_key()
        case "gpu-key":
            return gpu_key()
        case "required-space":
            return str(config.REQUIRED_B10FS_SPACE_MB)
        case "spared":
            return " ".join(spared)
        case "list-tmp":
            return " ".join(sorted(os.listdir("/tmp")))
    sys.exit(f"There is no operation {operation}")


if options.torch_version:
    import torch

    torch.__version__ = torch.version.__version__ = options.torch_version
if options.private_tmp:
    see_private_tmp(options.private_tmp)
if options.spare:
    spare_trees()
if options.uid:
    import_late_modules()
    os.setgroups([])
    os.setgid(options.uid)
    os.setuid(options.uid)
if options.hold:
    tell("ready")
    while not (options.dir / "go").exists():
        time.sleep(0.005)
if options.stop:
    {"before-lock": stop_before_lock, "half-copied": stop_half_copied, "copied": stop_copied}[options.stop]()

results = []
for operation in options.operations:
    begun = time.perf_counter()
    status = operate(operation)
    results.append({"operation": operation, "status": status, "seconds": time.perf_counter() - begun})
print(json.dumps({"import_s": import_s, "results": results}))
