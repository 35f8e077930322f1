/** The few of Bun's own functions that this program uses, typed; `undefined` under Deno. */

export interface BunApi {
  readonly version: string;
  readonly main: string;
  readonly FFI: {
    dlopen(
      library: string,
      symbols: Readonly<Record<string, { readonly args: readonly string[]; readonly returns: string }>>,
    ): { symbols: Record<string, (...args: unknown[]) => number | bigint> };
    /** Where the bytes lie, for as long as somebody holds them. */
    ptr(bytes: Uint8Array | BigUint64Array): number;
  };
  spawn(options: {
    cmd: readonly string[];
    stdin: "inherit";
    stdout: "inherit";
    stderr: "inherit";
  }): { pid: number; exited: Promise<number>; kill(signal: string): void };
}

export const bun: BunApi | undefined = (globalThis as { Bun?: BunApi }).Bun;
