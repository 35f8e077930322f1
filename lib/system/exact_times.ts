/**
 * Modification times to the nanosecond, by libc's futimens(3) through Bun's foreign function interface (2 µs a
 * file). node:fs keeps milliseconds.
 */
import { type CFunction, openLibc } from "./libc.ts";

type SetTimes = (fd: number, mtimeNs: bigint) => void;

const nsPerSecond = 1_000_000_000n;

function openTimes(): SetTimes | undefined {
  const libc = openLibc({ futimens: { args: ["i32", "ptr"], returns: "i32" } });
  return libc && withTimespecs(libc.futimens);
}

function withTimespecs(futimens: CFunction): SetTimes {
  // struct timespec {time_t, long} for access and modification, both 64 bits wide on every target here.
  const timespecs = new BigInt64Array(4);
  return (fd, mtimeNs) => {
    const remainder = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
    const seconds = (mtimeNs - remainder) / nsPerSecond;
    timespecs.set([seconds, remainder, seconds, remainder]);
    if (Number(futimens(fd, timespecs)) !== 0) {
      throw Object.assign(new Error(`futimens failed for a modification time of ${mtimeNs} ns`), {
        code: "EIO",
      });
    }
  };
}

/** Sets a file's access and modification time; `undefined` where only node:fs can do it. */
export const exactTimes: SetTimes | undefined = openTimes();
