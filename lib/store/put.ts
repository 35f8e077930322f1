/** Names that are put once, in one of two ways, and which of them a file system has. */
import { errnoOf } from "../errors.ts";
import type { OpenFile } from "../system.ts";
import {
  bestEffort,
  closedOnFailure,
  createPrivate,
  ifThere,
  readWhole,
  type Share,
  syncDirectory,
  writePrivate,
} from "./share.ts";

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

/**
 * As `putIfAbsent`, for a file that its maker keeps open and goes on appending to.
 * @returns the open file, or undefined where the name is taken.
 */
export async function holdIfAbsent(share: Share, put: Put): Promise<OpenFile | undefined> {
  const { temporary, way, bytes } = put;
  const directory = way === "rename";
  if (directory) await share.fs.mkdir(temporary, share.modes.directory);
  let held = false;
  try {
    const file = await createPrivate(share, directory ? `${temporary}/${contentName}` : temporary);
    held = await closedOnFailure(file, async () => {
      await file.append(bytes);
      await file.sync();
      return await give(share, put) === "put";
    });
    if (held) return file;
    await file.close();
    return undefined;
  } finally {
    if (!directory || !held) await bestEffort(() => removePut(share, temporary));
  }
}

/** Gives what is complete at `temporary` its name, unless that is taken. */
async function give(share: Share, { temporary, path, way }: Omit<Put, "bytes">): Promise<"put" | "taken"> {
  if (way === "rename") return await renameUnlessTaken(share, temporary, path);
  try {
    await share.fs.link(temporary, path);
    return "put";
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return "taken";
    throw error;
  }
}

/** Gives what was moved to `from` its name back, unless that was taken by then. */
export async function linkBack(
  share: Share,
  { from, to, way }: { from: string; to: string; way: CommitWay },
): Promise<void> {
  await give(share, { temporary: from, path: to, way });
}

/** Removes what was put, either way; it is not there, or under a name that nobody knows. */
export async function removePut(share: Share, path: string): Promise<void> {
  try {
    await ifThere(() => share.fs.unlink(path));
  } catch {
    // Each runtime has its own answer for a directory.
    await ifThere(() => share.fs.unlink(`${path}/${contentName}`));
    await ifThere(() => share.fs.rmdir(path));
  }
}

/** Removes what was put, by way of the name `away`, which nobody knows. */
export async function removePutAway(share: Share, path: string, away: string): Promise<void> {
  if (await ifThere(async () => (await share.fs.rename(path, away), true)) === undefined) return;
  await bestEffort(() => removePut(share, away));
}

async function putByLink(share: Share, { path, bytes, temporary }: Put): Promise<"put" | "taken"> {
  try {
    await writePrivate(share, temporary, bytes);
    return await give(share, { temporary, path, way: "link" });
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
    if (outcome === "taken") await bestEffort(() => removePut(share, temporary));
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

/** Reads what `putIfAbsent` put, either way, as `readWhole` does; undefined where the name is not taken. */
export async function readPut(share: Share, path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  return await ifThere(async () =>
    await readWhole(share.fs, path, maxBytes) ?? await readWhole(share.fs, `${path}/${contentName}`, maxBytes)
  );
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
    for (const dir of [target, first, second]) await bestEffort(() => removePut(share, dir));
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
