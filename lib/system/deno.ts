/** The few of Deno's own functions that this program uses, typed; `undefined` under Bun. */

interface PermissionDescriptor {
  name: "read" | "write" | "run" | "net" | "ffi";
  path?: string;
}

interface DenoChild {
  readonly pid: number;
  readonly status: Promise<{ code: number }>;
}

export interface DenoApi {
  readonly version: { deno: string };
  readonly build: { standalone: boolean };
  readonly mainModule: string;
  readonly stdin: { isTerminal(): boolean };
  readonly stderr: { isTerminal(): boolean };
  execPath(): string;
  utimeSync(path: string, atime: Date, mtime: Date): void;
  readonly Command: new (
    command: string,
    options: { args: string[]; stdin: "inherit"; stdout: "inherit"; stderr: "inherit" },
  ) => { spawn(): DenoChild };
  readonly permissions: {
    request(descriptor: PermissionDescriptor): Promise<{ state: string }>;
    revoke(descriptor: PermissionDescriptor): Promise<{ state: string }>;
    query(descriptor: PermissionDescriptor): Promise<{ state: string }>;
  };
}

export const deno: DenoApi | undefined = (globalThis as { Deno?: DenoApi }).Deno;
