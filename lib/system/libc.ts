/** This platform's C library, through Bun's foreign function interface. Under Deno that would be a hole in the fence. */
import { bun } from "./bun.ts";

// glibc, musl, macOS.
const libraryNames = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libSystem.B.dylib"];

export interface Signature {
  readonly args: readonly string[];
  readonly returns: string;
}

export type CFunction = (...args: unknown[]) => number | bigint;

/** @returns undefined where this is not Bun, or its C library has not all of these functions. */
export function openLibc<Name extends string>(
  signatures: Readonly<Record<Name, Signature>>,
): Readonly<Record<Name, CFunction>> | undefined {
  if (!bun) return undefined;
  for (const name of libraryNames) {
    try {
      return bun.FFI.dlopen(name, signatures).symbols as Readonly<Record<Name, CFunction>>;
    } catch {
      // Not this platform's: try the next name.
    }
  }
  return undefined;
}
