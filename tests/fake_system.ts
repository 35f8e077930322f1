/** Stand-ins for the injected world: what a test does not give throws when it is used. */
import type { Sandbox, System } from "../lib/system.ts";

/**
 * An object with only these members; any other that is used fails the test by name.
 *
 *     const fs = only<FileSystem>("fs", { realPath: (path) => Promise.resolve(path) });
 */
export function only<T extends object>(name: string, members: Partial<T>): T {
  return new Proxy(members, {
    get(target, key) {
      if (Reflect.has(target, key)) return Reflect.get(target, key);
      // Asked for by await and by the printing of a failed assertion.
      if (typeof key === "symbol" || key === "then" || key === "toJSON") return undefined;
      throw new Error(`This test does not expect a use of ${name}.${key}`);
    },
  }) as T;
}

/** A runtime and a kernel that confine nobody. */
export const noSandbox: Sandbox = {
  isInside: false,
  carried: undefined,
  enter: (_roots, made) => made,
  narrow: () => Promise.resolve("none"),
};

/** A System of which only `overrides` can be used, and no fence is put up. What is asked of the disk, `fs` answers. */
export function fakeSystem(overrides: Partial<System> = {}): System {
  const disk = overrides.fs ? { disk: overrides.fs } : {};
  return only<System>("system", { sandbox: noSandbox, writerThreads: undefined, ...disk, ...overrides });
}
