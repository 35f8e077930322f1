/** A small local file that others read while it is written anew: they find it whole, the old one or the new one. */
import type { FileSystem, Random } from "./system.ts";

/** @throws an error with an errno; whatever had the name is then as it was. */
export async function replaceFile(
  { fs, random }: { fs: FileSystem; random: Random },
  path: string,
  { text, mode, nowMs }: { text: string; mode: number; nowMs: number },
): Promise<void> {
  const temporary = `${path}.${random.hex(8)}.new`;
  try {
    fs.createFileSync(temporary, new TextEncoder().encode(text), {
      mode,
      mtimeNs: BigInt(nowMs) * 1_000_000n,
    });
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.unlink(temporary).catch(() => {});
    throw error;
  }
}
