/** Mount namespaces: what is mounted there is seen by one process alone. Linux, and mostly root. */
import { spawnSync } from "node:child_process";

const probeTimeoutMs = 10 * 1000;

/** Starts a command, as its last arguments, after some mounts. */
function unshared(mounts: string, args: readonly string[]): string[] {
  const script = `mount --make-rprivate / && ${mounts} && exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, "sh", ...args];
}

/** Whether this user may mount in a namespace of its own. */
export function canMount(): boolean {
  const [command = "", ...args] = unshared("mount -t tmpfs tmpfs /tmp", ["true"]);
  return spawnSync(command, args, { stdio: "ignore", timeout: probeTimeoutMs }).status === 0;
}

/** A command to start another with: its machine has the CPU that this file describes. */
export function onCpu(cpuinfo: string): string[] {
  return unshared('mount --bind "$1" /proc/cpuinfo && shift', [cpuinfo]);
}

/** A command to start another with: its /tmp holds one file; what is there at the end goes to stderr. */
export function withOwnTmp(file: string): string[] {
  const script =
    'mount --make-rprivate / && mount -t tmpfs tmpfs /tmp && echo "not a cache" >"/tmp/$1" && shift && ' +
    '{ "$@"; status=$?; ls /tmp >&2; exit $status; }';
  return ["unshare", "--mount", "sh", "-c", script, "sh", file];
}
