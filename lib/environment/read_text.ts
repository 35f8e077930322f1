/** Reading the start of a small file that may well not be there. */
import type { FileSystem } from "../system.ts";

/**
 * More than any file that is read here in full has: torch/version.py is under 1 kB, METADATA is never read.
 */
const maxTextBytes = 64 * 1024;

/**
 * The first `maxBytes` bytes of a file.
 * @returns undefined where the file cannot be read, for whatever reason: then it tells nothing about this
 * pod.
 */
export async function readStart(
  fs: FileSystem,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    const file = await fs.open(path, "r");
    try {
      // One read is enough: a regular file gives less than it is asked for only at its end.
      const start = new Uint8Array(maxBytes);
      return start.subarray(0, await file.read(start, 0));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** As readStart, for UTF-8 text of at most 64 KiB; bytes that are no UTF-8 become U+FFFD. */
export async function readText(
  fs: FileSystem,
  path: string,
  maxBytes = maxTextBytes,
): Promise<string | undefined> {
  const start = await readStart(fs, path, maxBytes);
  return start && new TextDecoder().decode(start);
}

/** The names in a directory; empty where it cannot be listed. */
export async function listNames(fs: FileSystem, path: string): Promise<string[]> {
  try {
    return (await fs.list(path)).map(({ name }) => name);
  } catch {
    return [];
  }
}
