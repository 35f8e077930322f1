/** Facts about this machine and this user. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import process from "node:process";
import type { Host } from "../system.ts";
import { deno } from "./deno.ts";

const kernelReadTimeoutMs = 5_000;

function askTool(tool: string, path: string): string | undefined {
  try {
    return execFileSync(tool, [path], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: kernelReadTimeoutMs,
    });
  } catch {
    return undefined;
  }
}

function kernelFile(path: string): string | undefined {
  if (deno) return askTool("cat", path);
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function kernelDirectory(path: string): string[] {
  if (deno) return askTool("ls", path)?.split("\n").filter((name) => name !== "") ?? [];
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
  try {
    return execFileSync("id", ["-un", String(uid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: kernelReadTimeoutMs,
    }).trim() || undefined;
  } catch {
    return undefined;
  }
}

export function realHost(): Host {
  const uid = process.getuid?.() ?? 0;
  return {
    platform: process.platform,
    machine: os.machine(),
    uid,
    pid: process.pid,
    homeDir: os.homedir(),
    workingDir: process.cwd(),
    passwdName: () => passwdName(uid),
    kernelFile,
    kernelDirectory,
  };
}
