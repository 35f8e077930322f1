"""Where the program b10-compile-cache is."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from .errors import ProgramError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "b10-compile-cache"
# b10-transfer's own command of that name is a short script that imports b10_transfer; it knows no operations.
_SCRIPT_HEAD_BYTES = 1024


def find_program() -> str:
    """Returns the path of the program that was installed together with this package, else of one on the PATH.

    Raises:
        ProgramError: ``program_not_found``, with the directories that were looked in.
    """
    looked: list[str] = []
    unusable: list[str] = []
    for directory in _directories():
        # An empty or relative entry of the PATH is the working directory's say, not the machine's.
        if not directory.is_absolute() or str(directory) in looked:
            continue
        looked.append(str(directory))
        path = directory / NAME
        if not path.is_file() or _is_predecessor(path):
            continue
        if os.access(path, os.X_OK):
            return str(path)
        unusable.append(str(path))
    if unusable:
        raise ProgramError(
            "program_not_found",
            f"Cannot run {unusable[0]} as it is not executable: run chmod +x on it, or install the wheel again",
        )
    raise ProgramError(
        "program_not_found",
        f"Cannot find {NAME} in {', '.join(looked)}: install the b10-transfer wheel for this machine with pip",
    )


def _directories() -> Iterator[Path]:
    # As it was imported, symlinks unresolved: installers link packages from a cache of theirs.
    site = Path(__file__).absolute().parent.parent
    # A virtual environment, pip install --prefix, and Debian's dist-packages: PREFIX/lib/python3.X/site-packages.
    if site.name in {"site-packages", "dist-packages"} and site.parent.parent.name in {"lib", "lib64"}:
        yield site.parent.parent.parent / "bin"
    # pip install --target DIR puts programs into DIR/bin.
    yield site / "bin"
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sysconfig.get_path("scripts", _user_scheme()))
    yield Path(sysconfig.get_path("scripts", vars={"base": sys.base_prefix}))
    for entry in os.get_exec_path():
        yield Path(entry)


def _user_scheme() -> str:
    if sys.version_info >= (3, 10):
        return sysconfig.get_preferred_scheme("user")
    return "posix_user"


def _is_predecessor(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_SCRIPT_HEAD_BYTES)
    except OSError:
        # Not readable is not the same as not executable.
        return False
    return head.startswith(b"#!") and b"from b10_transfer" in head
