/** Marks as small files below marks/, each under a name of its own. */
import { maxMarkBytes, maxMarks, type StoredMark } from "../store.ts";
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

/** What is read at once is in memory at once. */
const readsInFlight = 16;

export async function listMarks(share: Share, { marks }: KeyDirs): Promise<StoredMark[]> {
  const entries = await ifThere(() => share.fs.list(marks)) ?? [];
  const names = [...new Set(entries.map((entry) => entry.name).filter(isMarkName))].sort().slice(0, maxMarks);
  const found: StoredMark[] = [];
  for (let at = 0; at < names.length; at += readsInFlight) {
    const some = names.slice(at, at + readsInFlight);
    const read = await Promise.all(some.map((name) => readMark(share, `${marks}/${name}`, name)));
    for (const mark of read) if (mark && mark.bytes.length <= maxMarkBytes) found.push(mark);
  }
  return found;
}

async function readMark(share: Share, path: string, name: string): Promise<StoredMark | undefined> {
  return await ifThere(async () => {
    const bytes = await readWhole(share.fs, path, maxMarkBytes);
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
