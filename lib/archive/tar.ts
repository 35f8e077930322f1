/** Entries of the tar stream that a layer is, by modern-tar. */
import { createTarPacker, packTar } from "modern-tar";
import { tarBlockBytes } from "./plan.ts";

/** The two empty blocks that end a tar archive. */
export const endOfTar = new Uint8Array(2 * tarBlockBytes);

const noBytes = new Uint8Array(0);

/** Within a header's block: the size of what follows it, and its kind. */
const sizeOffset = 124;
const typeFlagOffset = 156;
const paxHeader = "x".charCodeAt(0);

/** 11 octal digits: in the year 2242. */
const lastSecond = 0o77777777777;

export interface TarFile {
  readonly path: string;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

/** What precedes the content of a file of `size` bytes; `paddingAfter` has to follow it. */
export async function tarHeader(file: TarFile, size: number): Promise<Uint8Array> {
  const header = { ...commonHeader(file), type: "file", size } as const;
  const { readable, controller } = createTarPacker();
  const reader = readable.getReader();
  controller.add(header);
  // The packer is left there: a content that went through it would be copied twice.
  const { value: first = noBytes } = await reader.read();
  if (first[typeFlagOffset] !== paxHeader) return first;
  // A path that the header cannot hold stands in a PAX header before it, which says how long it is.
  const parts = [first];
  const records = Number.parseInt(new TextDecoder().decode(first.subarray(sizeOffset, sizeOffset + 11)), 8);
  for (let rest = paddedSize(records) + tarBlockBytes; rest > 0;) {
    const { value: part = noBytes } = await reader.read();
    parts.push(part);
    rest -= part.length;
  }
  return Buffer.concat(parts);
}

/** The zeros that fill up the last block of a content. */
export function paddingAfter(size: number): Uint8Array {
  return endOfTar.subarray(0, paddedSize(size) - size);
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
