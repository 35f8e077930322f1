/**
 * File-system steps as a shared store needs them: explicit modes, whole files, put-if-absent, durability.
 * Nothing here is synchronous, as a share can hang.
 */
import { CacheError, errnoOf, messageOf } from "../errors.ts";
import type { FileStat, FileSystem, OpenFile } from "../system.ts";

/** How a complete file gets its final name, so that exactly one of several writers wins. */
export type CommitWay = "link" | "rename";

/** The file within the directory that stands for a name in a store that commits by renaming directories. */
const contentName = "content";

// Answers of link(2) and rename(2) that mean "not on this file system", as against "not now" or "not you".
const notOnThisFileSystem = new Set([
  "EPERM",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EINVAL",
  "EMLINK",
  "EXDEV",
]);

/** Owner, group and permissions for what is created, after the store's root; the umask plays no part. */
export interface Modes {
  readonly file: number;
  readonly directory: number;
  readonly gid: number;
}

/** Readable by whoever can read the root; writable by the owner and, if the root is, by the group; never by all. */
export function modesAfter(root: FileStat): Modes {
  return { file: (root.mode & 0o664) | 0o600, directory: (root.mode & 0o775) | 0o700, gid: root.gid };
}

export interface Share {
  readonly fs: FileSystem;
  readonly modes: Modes;
}

/** Any failure of the share as the one error that says so. */
export function storeError(action: string, path: string, cause: unknown): CacheError {
  if (cause instanceof CacheError) return cause;
  const errno = errnoOf(cause);
  const failed = `Cannot ${action} "${path}" in the shared store: ${errno ?? messageOf(cause)}`;
  return errno === "ENOSPC" || errno === "EDQUOT"
    ? new CacheError("no_space", `${failed}; the volume is full: remove old caches from it or enlarge it`, {
      cause,
    })
    : new CacheError("store_io", failed, { cause });
}

/** Runs one step on the share; its failures become `storeError`s. */
export async function onShare<T>(action: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw storeError(action, path, error);
  }
}

/** As `step`, with ENOENT and ENOTDIR as undefined: nothing is there. */
export async function ifThere<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Creates a directory and those above it up to `top`, which is there already. */
export async function ensureDirectory(share: Share, path: string, top: string): Promise<void> {
  if (path === top) return;
  try {
    await share.fs.mkdir(path, share.modes.directory);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return;
    if (errno !== "ENOENT") throw error;
    await ensureDirectory(share, path.slice(0, path.lastIndexOf("/")), top);
    return await ensureDirectory(share, path, top);
  }
  await giveToGroup(() => share.fs.chown(path, -1, share.modes.gid));
}

/** Best effort: only the owner of a file who is in the group may do it. */
async function giveToGroup(chown: () => Promise<void>): Promise<void> {
  try {
    await chown();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "EPERM" && errno !== "EINVAL" && errno !== "ENOTSUP" && errno !== "EOPNOTSUPP") throw error;
  }
}

/** Creates a file that nobody else writes: its name holds a fresh nonce. */
export async function createPrivate(share: Share, path: string): Promise<OpenFile> {
  const file = await share.fs.open(path, "wx");
  try {
    await file.chmod(share.modes.file);
    await giveToGroup(() => file.chown(-1, share.modes.gid));
    return file;
  } catch (error) {
    await bestEffort(() => file.close());
    await bestEffort(() => share.fs.unlink(path));
    throw error;
  }
}

/** A step on a file that stays open if it succeeds. */
export async function closedOnFailure<T>(file: OpenFile, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    await bestEffort(() => file.close());
    throw error;
  }
}

/** Writes a whole file durably. A failed fsync or close is a failed write. */
async function writePrivate(share: Share, path: string, bytes: Uint8Array): Promise<void> {
  const file = await createPrivate(share, path);
  await closedOnFailure(file, async () => {
    await file.append(bytes);
    await file.sync();
  });
  await file.close();
}

export async function syncDirectory(share: Share, path: string): Promise<void> {
  try {
    await share.fs.syncDirectory(path);
  } catch (error) {
    const errno = errnoOf(error);
    // Some network file systems have no fsync of a directory: their renames and links are durable by themselves.
    if (errno !== "EINVAL" && errno !== "ENOTSUP" && errno !== "EOPNOTSUPP" && errno !== "EISDIR") {
      throw error;
    }
  }
}

export interface Put {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** A name for the unfinished file, unique to this attempt, on the same file system. */
  readonly temporary: string;
  readonly way: CommitWay;
}

/**
 * Gives a complete file its name unless that is taken. `link` fails with EEXIST where it is; where there are no
 * hard links, renaming a directory fails where a non-empty one is there. Never a plain rename, which overwrites,
 * nor an O_EXCL create, whose half-written file another pod would take for a torn one.
 */
export async function putIfAbsent(share: Share, put: Put): Promise<"put" | "taken"> {
  const outcome = put.way === "link" ? await putByLink(share, put) : await putByRename(share, put);
  await syncDirectory(share, put.path.slice(0, put.path.lastIndexOf("/")));
  return outcome;
}

async function putByLink(share: Share, { path, bytes, temporary }: Put): Promise<"put" | "taken"> {
  try {
    await writePrivate(share, temporary, bytes);
    await share.fs.link(temporary, path);
    return "put";
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return "taken";
    throw error;
  } finally {
    await bestEffort(() => share.fs.unlink(temporary));
  }
}

async function putByRename(share: Share, { path, bytes, temporary }: Put): Promise<"put" | "taken"> {
  let outcome: "put" | "taken" = "taken";
  try {
    await writeContent(share, temporary, bytes);
    outcome = await renameUnlessTaken(share, temporary, path);
    return outcome;
  } finally {
    if (outcome === "taken") await removeContent(share, temporary);
  }
}

/** Makes the directory `dir` with a complete file in it. */
async function writeContent(share: Share, dir: string, bytes: Uint8Array): Promise<void> {
  await share.fs.mkdir(dir, share.modes.directory);
  await writePrivate(share, `${dir}/${contentName}`, bytes);
  await syncDirectory(share, dir);
}

async function renameUnlessTaken(share: Share, from: string, to: string): Promise<"put" | "taken"> {
  try {
    await share.fs.rename(from, to);
    return "put";
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOTEMPTY" || errno === "EEXIST" || errno === "ENOTDIR") return "taken";
    throw error;
  }
}

async function removeContent(share: Share, dir: string): Promise<void> {
  await bestEffort(() => share.fs.unlink(`${dir}/${contentName}`));
  await bestEffort(() => share.fs.rmdir(dir));
}

/** Reads all of what `putIfAbsent` put, either way; undefined where the name is not taken. */
export async function readPut(share: Share, path: string): Promise<Uint8Array | undefined> {
  return await ifThere(async () =>
    await readWhole(share.fs, path) ?? await readWhole(share.fs, `${path}/${contentName}`)
  );
}

// A generation file is a few kilobytes; 64 MiB would name 100,000 layers.
const maxPutBytes = 64 * 1024 * 1024;

/**
 * It asks by opening: the absence of a name may be a network file system's memory of the past.
 * @returns undefined for a directory.
 */
async function readWhole(fs: FileSystem, path: string): Promise<Uint8Array | undefined> {
  const file = await fs.open(path, "r");
  try {
    const { kind, size } = await file.stat();
    if (kind === "directory") return undefined;
    if (size > maxPutBytes) {
      throw new CacheError("bad_manifest", `Cannot read "${path}" as it has ${size} bytes`);
    }
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const count = await file.read(bytes.subarray(filled), filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}

/** Which way of committing works on the file system of `dir`; undefined where neither does. */
export async function probeCommitWay(
  share: Share,
  dir: string,
  nonce: string,
): Promise<CommitWay | undefined> {
  if (await hasHardLinks(share, `${dir}/.probe-${nonce}`)) return "link";
  return await renameExcludes(share, `${dir}/.probe-${nonce}`) ? "rename" : undefined;
}

async function hasHardLinks(share: Share, prefix: string): Promise<boolean> {
  const [from, to] = [`${prefix}.a`, `${prefix}.b`];
  try {
    await writePrivate(share, from, new Uint8Array(0));
    return await isSupported(() => share.fs.link(from, to));
  } finally {
    await bestEffort(() => share.fs.unlink(to));
    await bestEffort(() => share.fs.unlink(from));
  }
}

/** Renaming a directory onto one that is not empty fails here, as POSIX has it. */
async function renameExcludes(share: Share, prefix: string): Promise<boolean> {
  const [target, first, second] = [`${prefix}.c`, `${prefix}.d`, `${prefix}.e`];
  try {
    for (const dir of [first, second]) await writeContent(share, dir, new Uint8Array(1));
    if (!await isSupported(() => share.fs.rename(first, target))) return false;
    return await renameUnlessTaken(share, second, target) === "taken";
  } finally {
    for (const dir of [target, first, second]) await removeContent(share, dir);
  }
}

/** @returns false where the file system does not know this call, which is not the same as a failure of it. */
async function isSupported(step: () => Promise<void>): Promise<boolean> {
  try {
    await step();
    return true;
  } catch (error) {
    if (notOnThisFileSystem.has(errnoOf(error) ?? "")) return false;
    throw error;
  }
}

/**
 * A step whose failure changes nothing for anyone: removing a leftover of this attempt, which a later sweep finds
 * by its name, or noting a use on a share that cannot be written to.
 */
export async function bestEffort(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch {
    // See above.
  }
}
