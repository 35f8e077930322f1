/**
 * What this pod's default settings depend on. The default torch cache directory is computed as torch computes it
 * (torch/_inductor/runtime/cache_dir_utils.py: default_cache_dir, over Python's getpass.getuser and
 * tempfile.gettempdir): a wrong guess would be a cache that silently never helps.
 */
import { resolve } from "node:path/posix";
import { type PodDefaults, shareMountDir } from "./config.ts";
import type { System } from "./system.ts";

export async function podDefaults(system: System): Promise<PodDefaults> {
  return { ...await localPodDefaults(system), shareMounted: await isDirectory(system, shareMountDir) };
}

/**
 * The same without a look at the share, which can hang: for a process that must not, and that needs no setting which
 * depends on it.
 */
export async function localPodDefaults(system: System): Promise<PodDefaults> {
  const homeDir = system.env["HOME"] || system.host.homeDir;
  return {
    homeDir,
    torchCacheDir: `${await temporaryDir(system)}/torchinductor_${sanitizeUserName(userName(system))}`,
    shareMounted: false,
  };
}

/** Python's tempfile: the first of these that is a directory one can write to. */
async function temporaryDir(system: System): Promise<string> {
  const named = ["TMPDIR", "TEMP", "TMP"].map((name) => system.env[name]).filter((dir) => dir);
  for (const dir of [...named, "/tmp", "/var/tmp", "/usr/tmp"]) {
    if (dir && await isDirectory(system, dir) && await system.fs.isWritable(dir)) {
      return resolve(system.host.workingDir, dir);
    }
  }
  return system.host.workingDir;
}

/** Python's getpass.getuser, and torch's answer where that fails. */
function userName(system: System): string {
  const named = ["LOGNAME", "USER", "LNAME", "USERNAME"].map((name) => system.env[name]).find((name) => name);
  return named ?? system.host.passwdName() ?? `uid_${system.host.uid}`;
}

function sanitizeUserName(name: string): string {
  return name.replace(/[\\/:*?"<>|]/g, "_");
}

async function isDirectory(system: System, path: string): Promise<boolean> {
  try {
    return (await system.fs.stat(path)).kind === "directory";
  } catch {
    return false;
  }
}
