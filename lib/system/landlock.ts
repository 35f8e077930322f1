/**
 * Landlock: the Linux kernel itself refuses writes outside some directories, for this process and all that it starts, for
 * good (Documentation/userspace-api/landlock.rst). Threads that run already are not covered, and a runtime has several:
 * so the program restricts one, and starts itself anew from it.
 */
import process from "node:process";
import { bun } from "./bun.ts";
import { type CFunction, openLibc } from "./libc.ts";

/** The same numbers on every architecture that has them. */
const syscalls = { createRuleset: 444, addRule: 445, restrictSelf: 446 } as const;

const createRulesetVersion = 1;
const rulePathBeneath = 1;
const prSetNoNewPrivs = 38;
const openFlags = 0x200000 | 0x80000; // O_PATH, O_CLOEXEC

/** Bits of include/uapi/linux/landlock.h, with the version of the interface that has them. Reading is not restricted. */
const rights = {
  writeFile: { bit: 1, since: 1 },
  removeDir: { bit: 4, since: 1 },
  removeFile: { bit: 5, since: 1 },
  makeChar: { bit: 6, since: 1 },
  makeDir: { bit: 7, since: 1 },
  makeReg: { bit: 8, since: 1 },
  makeSock: { bit: 9, since: 1 },
  makeFifo: { bit: 10, since: 1 },
  makeBlock: { bit: 11, since: 1 },
  makeSym: { bit: 12, since: 1 },
  /** Without it a link or a rename from one directory of a root to another is EXDEV. */
  refer: { bit: 13, since: 2 },
  truncate: { bit: 14, since: 3 },
} as const;

/** What a file, as against a directory, can have. */
const fileRights = [rights.writeFile, rights.truncate];

/** Renames and links between directories are refused altogether before this version. */
const leastVersion = 2;

interface Libc {
  readonly syscall: CFunction;
  readonly prctl: CFunction;
  readonly open: CFunction;
  readonly close: CFunction;
  readonly setenv: CFunction;
  readonly execv: CFunction;
}

const signatures = {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  execv: { args: ["ptr", "ptr"], returns: "i32" },
} as const;

/** What one of the directories may be used for. */
export interface Allowance {
  readonly path: string;
  /** "all" to write below it; "remove" only to remove empty directories from it. */
  readonly to: "all" | "remove";
}

export interface Restriction {
  readonly allowed: readonly Allowance[];
  /** The words that start this program again. */
  readonly argv: readonly string[];
  /** What the new process finds in its environment. */
  readonly variable: { readonly name: string; readonly value: string };
}

/**
 * Restricts this process and starts the program anew inside.
 * @returns only where the kernel has no Landlock that is good enough, with nothing changed.
 * @throws {Error} where it fails half-way: the process must not go on then.
 */
export function restrictAndRestart({ allowed, argv, variable }: Restriction): void {
  const libc = process.platform === "linux" ? openLibc(signatures) : undefined;
  if (!libc) return;
  const version = Number(libc.syscall(syscalls.createRuleset, 0, 0, createRulesetVersion, 0, 0));
  if (version < leastVersion) return;
  const all = Object.values(rights).filter(({ since }) => since <= version);
  const ruleset = Number(
    libc.syscall(syscalls.createRuleset, pointer(new BigUint64Array([maskOf(all)])), 8, 0, 0, 0),
  );
  if (ruleset < 0) return;
  for (const { path, to } of allowed) {
    allow(libc, { ruleset, path, mask: maskOf(to === "all" ? all : [rights.removeDir]) });
  }
  allow(libc, {
    ruleset,
    path: "/dev/null",
    mask: maskOf(fileRights.filter(({ since }) => since <= version)),
  });
  const isRestricted = Number(libc.prctl(prSetNoNewPrivs, 1, 0, 0, 0)) === 0 &&
    Number(libc.syscall(syscalls.restrictSelf, ruleset, 0, 0, 0, 0)) === 0;
  if (!isRestricted) {
    // A container may forbid it by seccomp: that is as good as a kernel without.
    libc.close(ruleset);
    return;
  }
  restart(libc, argv, variable);
}

function allow(libc: Libc, { ruleset, path, mask }: { ruleset: number; path: string; mask: bigint }): void {
  const fd = Number(libc.open(cString(path), openFlags, 0));
  // What is not there cannot be written to.
  if (fd < 0) return;
  // A file has fewer rights than a directory, and asking for more is an error.
  const isAllowed = [mask, mask & maskOf(fileRights)].some((some) =>
    addRule(libc, { ruleset, fd, mask: some })
  );
  libc.close(fd);
  if (!isAllowed) throw new Error(`Landlock takes no rule for "${path}"`);
}

function addRule(libc: Libc, { ruleset, fd, mask }: { ruleset: number; fd: number; mask: bigint }): boolean {
  // struct landlock_path_beneath_attr, packed: the rights and the directory.
  const rule = new Uint8Array(12);
  const view = new DataView(rule.buffer);
  view.setBigUint64(0, mask, true);
  view.setInt32(8, fd, true);
  return Number(libc.syscall(syscalls.addRule, ruleset, rulePathBeneath, pointer(rule), 0, 0)) === 0;
}

/**
 * process.env does not reach execv: the C library's own environment does. The file that this process runs, even where
 * another one has its name by now.
 */
function restart(libc: Libc, argv: readonly string[], { name, value }: Restriction["variable"]): never {
  const words = argv.map(cString);
  const list = new BigUint64Array([...words.map((word) => BigInt(pointer(word))), 0n]);
  libc.setenv(cString(name), cString(value), 1);
  libc.execv(cString("/proc/self/exe"), list);
  throw new Error(`This program could not be started anew as "${argv[0]}"`);
}

function maskOf(some: readonly { readonly bit: number }[]): bigint {
  return some.reduce((mask, { bit }) => mask | (1n << BigInt(bit)), 0n);
}

function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

function pointer(bytes: Uint8Array | BigUint64Array): number {
  return bun?.FFI.ptr(bytes) ?? 0;
}
