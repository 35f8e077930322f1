/** The environment of everything that is measured: nothing of this shell's settings but the way to programs. */
import process from "node:process";
import { peerPython } from "../contenders/peer_python.ts";

export function baseEnvironment(): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    // The peer's Python is this pod's, for all; else the one on the PATH.
    ...(peerPython ? { B10_CACHE_PYTHON: peerPython } : {}),
  };
}
