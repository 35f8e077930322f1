/** What this machine's kernel can confine a process with. */
import * as os from "node:os";
import process from "node:process";

/** Landlock is in Linux since 5.13, and in the version that the program needs since 5.19; gVisor says it is 4.4. */
export function kernelFence(): "landlock" | "none" {
  const [major = 0, minor = 0] = os.release().split(".").map(Number);
  return process.platform === "linux" && (major > 5 || (major === 5 && minor >= 19)) ? "landlock" : "none";
}
