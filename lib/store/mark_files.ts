/** Marks as small files below marks/, each under a name of its own. */
import { maxMarks, type StoredMark } from "../store.ts";
import { isMarkName, type KeyDirs } from "./layout.ts";
import {
  bestEffort,
  ensureDirectory,
  ifThere,
  modifiedMs,
  readWhole,
  type Share,
  writePrivate,
} from "./share.ts";

export async function listMarks(share: Share, { marks }: KeyDirs): Promise<StoredMark[]> {
  const entries = await ifThere(() => share.fs.list(marks)) ?? [];
  const names = [...new Set(entries.map((entry) => entry.name).filter(isMarkName))].sort().slice(0, maxMarks);
  const found = await Promise.all(names.map((name) => readMark(share, `${marks}/${name}`, name)));
  return found.filter((mark) => mark !== undefined);
}

async function readMark(share: Share, path: string, name: string): Promise<StoredMark | undefined> {
  return await ifThere(async () => {
    const bytes = await readWhole(share.fs, path);
    return bytes && { name, bytes, madeMs: modifiedMs(await share.fs.stat(path)) };
  });
}

export async function putMark(
  share: Share,
  dirs: KeyDirs,
  { nativeDir, nonce, bytes }: { nativeDir: string; nonce: string; bytes: Uint8Array },
): Promise<void> {
  for (const dir of [dirs.marks, dirs.incoming]) await ensureDirectory(share, dir, nativeDir);
  const temporary = `${dirs.incoming}/${nonce}.mark`;
  try {
    await writePrivate(share, temporary, bytes);
    // No one else has this name, so a rename overwrites nothing.
    await share.fs.rename(temporary, `${dirs.marks}/${nonce}.json`);
  } catch (error) {
    await bestEffort(() => share.fs.unlink(temporary));
    throw error;
  }
}
