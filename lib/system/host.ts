/** Facts about this machine and this user. */
import * as fs from "node:fs";
import * as os from "node:os";
import process from "node:process";
import type { Host } from "../system.ts";
import { deno } from "./deno.ts";

const toolTimeoutMs = 5_000;

/** What a tool prints, or undefined where it fails. */
function askTool(argv: readonly [string, ...string[]]): string | undefined {
  const [tool, ...args] = argv;
  try {
    // Loaded when it is first needed: it takes as long to load as a small cache does, and Bun seldom needs it.
    return process.getBuiltinModule("node:child_process").execFileSync(tool, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: toolTimeoutMs,
    });
  } catch {
    return undefined;
  }
}

function kernelFile(path: string): string | undefined {
  if (deno) return askTool(["cat", path]);
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function kernelDirectory(path: string): string[] {
  if (deno) return askTool(["ls", path])?.split("\n").filter((name) => name !== "") ?? [];
  try {
    return fs.readdirSync(path);
  } catch {
    return [];
  }
}

/** Bun's os.userInfo() answers "unknown" where USER is not set, so /etc/passwd comes first. */
function passwdName(uid: number): string | undefined {
  try {
    for (const line of fs.readFileSync("/etc/passwd", "utf8").split("\n")) {
      const [name, , id] = line.split(":");
      if (name && id === String(uid)) return name;
    }
  } catch {
    // No such file: the user may still be known to a directory service.
  }
  return askTool(["id", "-un", String(uid)])?.trim() || undefined;
}

export function realHost(): Host {
  const uid = process.getuid?.() ?? 0;
  return {
    platform: process.platform,
    machine: os.machine(),
    uid,
    pid: process.pid,
    name: os.hostname(),
    homeDir: os.homedir(),
    workingDir: process.cwd(),
    groupIds: () => [process.getgid?.() ?? 0, ...process.getgroups?.() ?? []],
    passwdName: () => passwdName(uid),
    kernelFile,
    kernelDirectory,
  };
}
