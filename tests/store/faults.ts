/** File systems that fail where a test says so, over any other. */
import type { FileSystem, OpenFile } from "../../lib/system.ts";
import { failure } from "./examples.ts";

/** Says which calls fail, by their names, and with which errno. */
type Rule = (call: string) => string | undefined;

const noRule: Rule = () => undefined;

/**
 * Failures that are switched on and off over a file system, calls on its open files included.
 *
 *     await using faults = new Faults();
 *     const store = await openStore({ fs: faults.over(fs), … }, dir);
 *     faults.fail("EIO", ["open"]);
 */
export class Faults implements AsyncDisposable {
  /** The last call that was made to fail. */
  last = "none";
  #rule: Rule = noRule;
  readonly #open = new Set<OpenFile>();

  readonly over = (fs: FileSystem): FileSystem => ({
    ...this.#intercepted(fs),
    open: async (path, mode) => {
      this.#failIfTold("open");
      const file = await fs.open(path, mode);
      this.#open.add(file);
      return {
        ...this.#intercepted(file),
        // A close that fails has closed nevertheless.
        close: async () => {
          this.#open.delete(file);
          await file.close();
          this.#failIfTold("close");
        },
      };
    },
  });

  /** How many files have been opened and not closed. */
  get openFiles(): number {
    return this.#open.size;
  }

  /** From now on each of these calls fails, or whatever a rule says. */
  fail(errno: string, calls: readonly string[]): void {
    this.#rule = (call) => calls.includes(call) ? errno : undefined;
  }

  failBy(rule: Rule): void {
    this.#rule = rule;
  }

  heal(): void {
    this.#rule = noRule;
  }

  /** Bun ends the program for a file that is left open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#open) await file.close();
  }

  #failIfTold(call: string): void {
    const errno = this.#rule(call);
    if (!errno) return;
    this.last = call;
    throw failure(errno);
  }

  #intercepted<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function" || typeof name === "symbol") return member;
        return async (...args: unknown[]) => {
          this.#failIfTold(name);
          return await Reflect.apply(member, target, args);
        };
      },
    });
  }
}

/**
 * Does `act` again and again, each time with the k-th call failing that it makes once it has called `arm`, for
 * k = 1, 2, … until a pass needs fewer calls than that.
 * @returns how many calls were made to fail.
 */
export async function failEachCall(
  errno: string,
  act: (faults: Faults, arm: () => void) => Promise<void>,
): Promise<number> {
  for (let k = 1;; k++) {
    await using faults = new Faults();
    let calls = 0;
    await act(faults, () => faults.failBy(() => ++calls === k ? errno : undefined));
    if (calls < k) return k - 1;
  }
}

/** There are no hard links, as on many a FUSE file system. */
export function withoutLinks(fs: FileSystem): FileSystem {
  return { ...fs, link: () => Promise.reject(failure("EPERM")) };
}

/** What is written need not survive the end of the machine: three times as fast. */
export function withoutFsync(fs: FileSystem): FileSystem {
  return {
    ...fs,
    open: async (path, mode) => ({ ...await fs.open(path, mode), sync: () => Promise.resolve() }),
    syncDirectory: () => Promise.resolve(),
  };
}
