/** What the runtime says about the machine and the user. */
import type { System } from "../../../lib/system.ts";

export async function host({ host, fs }: System, dir: string) {
  return {
    machine: host.machine,
    uid: host.uid,
    homeDir: host.homeDir,
    workingDir: host.workingDir,
    passwdName: host.passwdName(),
    kernelFile: host.kernelFile("/proc/version"),
    kernelFileAbsent: host.kernelFile("/proc/absent"),
    kernelDirectory: host.kernelDirectory("/proc/self").includes("status"),
    kernelDirectoryAbsent: host.kernelDirectory("/proc/absent"),
    freeBytes: await fs.freeBytes(dir),
    fileSystemType: await fs.fileSystemType(dir),
  };
}
