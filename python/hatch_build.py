"""Puts the program into the wheel, as a script that pip installs beside python, and names the platform it is for."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramHook(BuildHookInterface[Any]):
    """Runs before a wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Reads the binary and its platform tag from the environment, where scripts/wheel.ts puts them.

        Raises:
            RuntimeError: They are not there, and the build is not one of an editable installation.
        """
        if version == "editable":
            return
        binary = os.environ.get("B10_WHEEL_BINARY")
        platform = os.environ.get("B10_WHEEL_PLATFORM")
        if not binary or not platform:
            raise RuntimeError('Cannot build a wheel without its binary: run "npx -y deno@2.9.6 task wheel"')
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {binary: "b10-compile-cache"}
