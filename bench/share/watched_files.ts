/** A file system of which every operation on one directory is delayed and told. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FileSystem } from "../../lib/system.ts";

export interface ShareCall {
  /** As lib/system.ts names it. */
  readonly name: string;
  /** Below the watched directory; "." for that itself. */
  readonly path: string;
  /** What was read or written, of contents. */
  readonly bytes: number;
}

export interface Watch {
  /** Whatever lies at or below it is watched. */
  readonly dir: string;
  /** So long every operation waits before it is made: those that are made at once wait at once. */
  readonly latencyMs: number;
  readonly onCall: (call: ShareCall) => void;
}

/** The model of a network file system: every operation, on a file that is open as well, is one round trip. */
export function watchedFiles(files: FileSystem, watch: Watch): FileSystem {
  return watched(
    files,
    ([path]) => (typeof path === "string" ? path : ""),
    watch,
  );
}

type PathOf = (args: readonly unknown[]) => string;

function watched<T extends object>(target: T, pathOf: PathOf, watch: Watch): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property);
      if (typeof member !== "function") return member;
      const name = String(property);
      const act = (args: unknown[]): unknown => Reflect.apply(member, object, args);
      return (...args: unknown[]): unknown => {
        const path = pathOf(args);
        if (path !== watch.dir && !path.startsWith(`${watch.dir}/`)) {
          return act(args);
        }
        if (name.endsWith("Sync")) {
          return delayedSync({ name, path, watch }, () => act(args));
        }
        return delayed({ name, path, watch }, args, () => act(args));
      };
    },
  });
}

interface Watched {
  readonly name: string;
  readonly path: string;
  readonly watch: Watch;
}

async function delayed(
  { name, path, watch }: Watched,
  args: unknown[],
  act: () => unknown,
): Promise<unknown> {
  if (watch.latencyMs > 0) await sleep(watch.latencyMs);
  let result: unknown;
  try {
    result = await act();
  } finally {
    // One that fails, as nothing is there, is a round trip as well.
    watch.onCall({
      name,
      path: below(watch.dir, path),
      bytes: bytesOf(name, args, result),
    });
  }
  if (name !== "open" || typeof result !== "object" || result === null) {
    return result;
  }
  return watched(result, () => path, watch);
}

function delayedSync(
  { name, path, watch }: Watched,
  act: () => unknown,
): unknown {
  if (watch.latencyMs > 0) {
    Atomics.wait(
      new Int32Array(new SharedArrayBuffer(4)),
      0,
      0,
      watch.latencyMs,
    );
  }
  watch.onCall({ name, path: below(watch.dir, path), bytes: 0 });
  return act();
}

function below(dir: string, path: string): string {
  return path === dir ? "." : path.slice(dir.length + 1);
}

function bytesOf(name: string, [content]: unknown[], result: unknown): number {
  if (name === "read") return typeof result === "number" ? result : 0;
  return name === "append" && content instanceof Uint8Array ? content.length : 0;
}
