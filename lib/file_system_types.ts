/**
 * Whether two machines exclude each other on a file system cannot be tried out from one of them. It is known of the
 * kernel's own file systems, local and networked, and of some FUSE ones; of another FUSE type the operator must vouch
 * for it. docs/protocol.md says what is asked of a file system. Pure.
 */
import { type Mount, readMounts } from "./mounts.ts";

/** FUSE file systems whose link(2) and rename(2) are documented to be atomic for all machines that mount them. */
export const knownFuseTypes: readonly string[] = [
  "fuse.glusterfs",
  "fuse.ceph",
  "fuse.ceph-fuse",
  "fuse.juicefs",
];

/**
 * The type of the file system that holds `path`, by the text of /proc/self/mountinfo (see proc(5)).
 * @param path a real path.
 * @returns undefined where no mount holds it.
 */
export function fileSystemTypeOf(mountinfo: string, path: string): string | undefined {
  let found: Mount | undefined;
  for (const mount of readMounts(mountinfo)) {
    if (!isAtOrBelow(path, mount.point)) continue;
    // Of several mounts on one directory the last one is seen.
    if (!found || mount.point.length >= found.point.length) found = mount;
  }
  return found?.type;
}

export function isUnknownFuse(type: string, vouchedFor: readonly string[]): boolean {
  if (type !== "fuse" && type !== "fuseblk" && !type.startsWith("fuse.")) return false;
  return !knownFuseTypes.includes(type) && !vouchedFor.includes(type);
}

function isAtOrBelow(path: string, point: string): boolean {
  return point === "/" || path === point || path.startsWith(`${point}/`);
}
