/**
 * The injected world. Everything in lib/ that touches files, time, chance, processes or the network does it through a
 * `System`; lib/system/real.ts has the only real one. What differs between Deno and Bun is settled in lib/system/, and
 * nowhere else.
 */

export interface System {
  readonly runtime: Runtime;
  readonly fs: FileSystem;
  /**
   * As `fs`, by synchronous calls, for files of this pod's own disk, which answers at once: to wake another thread for each
   * call takes longer than the call. Never for a path on the share, which can hang.
   */
  readonly disk: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly host: Host;
  readonly stdio: Stdio;
  readonly processes: Processes;
  readonly http: Http;
  readonly sandbox: Sandbox;
  readonly writerThreads: WriterThreads | undefined;
}

/** What the program runs on. */
export interface Runtime {
  readonly name: "deno" | "bun";
  readonly version: string;
  /** One compiled binary, as against source files. */
  readonly compiled: boolean;
  /** The finest difference between two modification times that this runtime can read and write, in ns. */
  readonly mtimeResolutionNs: bigint;
  /** How many this process may use at once. */
  readonly cores: number;
  /** The words that start this program again: append a command and its options. */
  readonly self: readonly string[];
}

export type FileKind = "file" | "directory" | "symlink" | "other";

export interface FileStat {
  readonly kind: FileKind;
  /** bytes */
  readonly size: number;
  /** permission bits alone, at most 0o7777 */
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly uid: number;
  readonly gid: number;
}

/** What tells a file from what it was before, and from another in its place. */
export type FileVersion = Pick<FileStat, "ino" | "size" | "mtimeNs" | "ctimeNs">;

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: FileKind;
}

export interface OpenFile {
  /** Reads up to `into.length` bytes at `position`; returns how many (0 at the end of the file). */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes` at the current end. */
  append(bytes: Uint8Array): Promise<void>;
  stat(): Promise<FileStat>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  /** fsync: returns when the bytes are on stable storage. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** "r" reads, and waits for no one, whatever the path is; "wx" creates and fails with EEXIST where anything, a symlink included, is there already. */
export type OpenMode = "r" | "wx";

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Follows symlinks. */
  stat(path: string): Promise<FileStat>;
  /** Does not follow a symlink. */
  lstat(path: string): Promise<FileStat>;
  list(path: string): Promise<DirectoryEntry[]>;
  /** Creates one directory with exactly `mode`, whatever the umask is. */
  mkdir(path: string, mode: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Removes an empty directory. */
  rmdir(path: string): Promise<void>;
  /** Resolves every symlink; fails with ENOENT where the path is not there. */
  realPath(path: string): Promise<string>;
  /** This user may write to it, as far as the file system tells. */
  isWritable(path: string): Promise<boolean>;
  /** Flushes a directory's entries to stable storage. */
  syncDirectory(path: string): Promise<void>;
  /** Free bytes for this user on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>;
  /** The file system's magic number, as statfs(2) gives it. */
  fileSystemType(path: string): Promise<number>;
  /**
   * Creates a directory (it must not be there) with exactly this mode. Synchronous, as local disks answer at once
   * and a promise for each costs more than the work: never for a path on the share, which can hang.
   */
  createDirectorySync(path: string, mode: number): void;
  /** As createDirectorySync, for a file. @returns what it is, and stays if nobody touches it. */
  createFileSync(path: string, bytes: Uint8Array, options: { mode: number; mtimeNs: bigint }): FileVersion;
  /** As createFileSync, with the bytes written by another thread: for many, which take longer than to wake it. */
  createFile(
    path: string,
    bytes: Uint8Array,
    options: { mode: number; mtimeNs: bigint },
  ): Promise<FileVersion>;
  /** As lstat: synchronous for the same reason, and under the same rule. */
  lstatSync(path: string): FileStat;
}

/** Files on their way to another thread: few large values, as these are handed over sooner than many. */
export interface FileBatch {
  /** The files' places, separated by NUL. */
  readonly places: string;
  /** Their contents, one after the other. The memory goes with it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sizes: Uint32Array<ArrayBuffer>;
  /** Permission bits. */
  readonly modes: Uint16Array<ArrayBuffer>;
  /** Nanoseconds since 1970. */
  readonly mtimesNs: BigInt64Array<ArrayBuffer>;
}

/** Threads that create files on this pod's own disk, beside the one that asks. */
export interface WriterThreads {
  /** What is handed over now is begun at once, or soon: known without waiting for an answer. */
  readonly isFree: boolean;
  /**
   * As `createFileSync` for each of a batch.
   * @returns what each file is. Where one fails those after it are not created; the error's `place` is that one's.
   */
  createFiles(batch: FileBatch): Promise<readonly FileVersion[]>;
}

export interface Clock {
  /** Wall-clock time in ms since 1970: for stamps, never for durations. */
  nowMs(): number;
  /** Milliseconds that only move forward: for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `act` every `ms` beside whatever else goes on, until the signal aborts. */
  every(ms: number, act: () => void, signal: AbortSignal): void;
}

export interface Random {
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
  /** A number in [0, 1). */
  fraction(): number;
}

export interface Host {
  readonly platform: string;
  /** As Python's platform.machine() says it: "x86_64", "aarch64", "arm64". */
  readonly machine: string;
  readonly uid: number;
  readonly pid: number;
  /** For people: two machines may have the same. */
  readonly name: string;
  readonly homeDir: string;
  readonly workingDir: string;
  /** The numbers of all groups that this process has, its own one included. */
  groupIds(): readonly number[];
  /** The login name that the passwd database has for `uid`, if any. */
  passwdName(): string | undefined;
  /** A file below /proc or /sys as text, or undefined: Deno reads those only with the help of `cat`. */
  kernelFile(path: string): string | undefined;
  /** The names in a directory below /proc or /sys; empty where it is not there. */
  kernelDirectory(path: string): string[];
}

export interface Stdio {
  readonly argv: readonly string[];
  readonly stdinIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  readonly stderrStream: NodeJS.WriteStream;
  /** Writes all of `text` before it returns. */
  stdout(text: string): void;
  stderr(text: string): void;
}

export interface Child {
  readonly pid: number;
  /** `code` is the child's own, or 128 + the signal's number. */
  readonly exited: Promise<number>;
  kill(signal: string): void;
}

export interface CapturedRun {
  /** The exit status; 128 + n for a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Ended by this program, as it took longer than it may. */
  readonly timedOut: boolean;
}

export interface Processes {
  /** Starts `argv` with this program's own stdin, stdout and stderr. @throws an error with errno ENOENT, EACCES, … */
  start(argv: readonly string[]): Promise<Child>;
  /**
   * Runs `argv` to its end and keeps what it prints. `stderr: "inherit"` passes the child's stderr on.
   * After `timeoutMs` the child gets SIGKILL and is left behind, so this never waits longer.
   */
  capture(argv: readonly string[], options: CaptureOptions): Promise<CapturedRun>;
  /** Calls `handler` for each of these signals until the returned function is called. */
  onSignals(signals: readonly string[], handler: (signal: string) => void): () => void;
}

export interface CaptureOptions {
  readonly timeoutMs: number;
  readonly stderr?: "capture" | "inherit";
  /** Once aborted the child gets SIGTERM; if it is still there some seconds later, all is as after `timeoutMs`. */
  readonly signal?: AbortSignal;
}

export interface Http {
  /**
   * One GET to an http or https address or a Unix socket's (lib/socket_url.ts), never through a proxy, whoever the
   * certificate is of. @returns the status code. @throws where nobody answers in time.
   */
  status(url: string, options: { timeoutMs: number }): Promise<number>;
}

/** What holds the process inside its directories, besides this program's own checks. */
export type Fence = "deno-permissions" | "landlock" | "none";

export interface Sandbox {
  /** This process was started anew inside the kernel's fence: what the one before it said is said. */
  readonly isInside: boolean;
  /** What the one before handed over to go on with: plain JSON, as `enter` was given it. undefined where it gave nothing. */
  readonly carried: unknown;
  /**
   * Where the kernel can confine a process, it does so here: the program is started anew, able to write below `roots`
   * alone, and this call never returns. In the new process, and where there is no such kernel, it returns the `made` of
   * the first. What other programs answered to `Processes.capture` is not asked again, as they may need to write.
   * @param made directories that this program has made: below their parents it may remove empty ones.
   * @param carried plain JSON that the new process finds as `carried`, unless it is too long.
   * @throws where it fails half-way.
   */
  enter(roots: readonly string[], made: readonly string[], carried?: unknown): readonly string[];
  /** Gives up every right but reading and writing below `roots`. @throws if the right is still there afterwards. */
  narrow(roots: readonly string[]): Promise<Fence>;
}
