/** Entries of the tar stream that a layer is, by modern-tar. */
import { packTar } from "modern-tar";
import { tarBlockBytes } from "./plan.ts";

/** The two empty blocks that end a tar archive. */
export const endOfTar = new Uint8Array(2 * tarBlockBytes);

/** 11 octal digits: in the year 2242. */
const lastSecond = 0o77777777777;

export interface TarFile {
  readonly path: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

/** One file: header, content, padding. `dataOffset` is where its content begins in `bytes`. */
export async function tarFile(
  file: TarFile,
  content: Uint8Array,
): Promise<{ bytes: Uint8Array; dataOffset: number }> {
  const header = { ...commonHeader(file), type: "file", size: content.length } as const;
  const bytes = withoutEnd(await packTar([{ header, body: content }]));
  return { bytes, dataOffset: bytes.length - paddedSize(content.length) };
}

/** A file with the same content as an earlier one of the archive. */
export async function tarHardLink(file: TarFile, earlier: string): Promise<Uint8Array> {
  const header = { ...commonHeader(file), type: "link", size: 0, linkname: earlier } as const;
  return withoutEnd(await packTar([{ header }]));
}

function commonHeader({ path, mode, mtimeNs }: TarFile) {
  // The header holds whole seconds from 1970 on; the index holds the time exactly.
  const seconds = mtimeNs > 0n ? Math.min(Number(mtimeNs / 1_000_000_000n), lastSecond) : 0;
  return { name: path, mode, mtime: new Date(seconds * 1000), uid: 0, gid: 0, uname: "", gname: "" };
}

function withoutEnd(archive: Uint8Array): Uint8Array {
  return archive.subarray(0, archive.length - endOfTar.length);
}

function paddedSize(bytes: number): number {
  return Math.ceil(bytes / tarBlockBytes) * tarBlockBytes;
}
