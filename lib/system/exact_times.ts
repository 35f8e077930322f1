/**
 * Modification times to the nanosecond, by libc's futimens(3) through Bun's foreign function interface (2 µs a
 * file). node:fs keeps milliseconds. Under Deno a foreign function interface would be a hole in the fence.
 */
import { bun } from "./bun.ts";

type SetTimes = (fd: number, mtimeNs: bigint) => void;

const nsPerSecond = 1_000_000_000n;

// glibc, musl, macOS.
const libcNames = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libSystem.B.dylib"];

function openLibc(): SetTimes | undefined {
  if (!bun) return undefined;
  for (const name of libcNames) {
    try {
      const { symbols } = bun.FFI.dlopen(name, { futimens: { args: ["i32", "ptr"], returns: "i32" } });
      const futimens = symbols.futimens;
      if (futimens) return withTimespecs(futimens);
    } catch {
      // Not this platform's libc: try the next name.
    }
  }
  return undefined;
}

function withTimespecs(futimens: (...args: unknown[]) => number): SetTimes {
  // struct timespec {time_t, long} for access and modification, both 64 bits wide on every target here.
  const timespecs = new BigInt64Array(4);
  return (fd, mtimeNs) => {
    const remainder = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
    const seconds = (mtimeNs - remainder) / nsPerSecond;
    timespecs.set([seconds, remainder, seconds, remainder]);
    if (futimens(fd, timespecs) !== 0) {
      throw Object.assign(new Error(`futimens failed for a modification time of ${mtimeNs} ns`), {
        code: "EIO",
      });
    }
  };
}

/** Sets a file's access and modification time; `undefined` where only node:fs can do it. */
export const exactTimes: SetTimes | undefined = openLibc();
