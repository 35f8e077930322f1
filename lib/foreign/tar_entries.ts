/** The entries of a tar stream, read strictly: plain files, directories and hard links, and nothing else. */
import { quoteShort as quote } from "../entry_rules.ts";
import type { ByteSource } from "./byte_source.ts";
import { decodeName, parsePax, type PaxRecords } from "./pax.ts";
import { blockBytes, HeaderRule, isZeroBlock, parseTarHeader, type TarHeader } from "./tar_header.ts";

export interface TarEntry {
  readonly kind: "file" | "directory" | "link";
  readonly name: string;
  /** Of a link: the name of the entry whose content it has. */
  readonly linkName: string;
  /** Content bytes; 0 for all but files. */
  readonly size: number;
  readonly mode: number;
  readonly mtimeNs: bigint;
}

export interface ReadEntry {
  readonly entry: TarEntry;
  /** All of a file's bytes, where it was wanted. */
  readonly content: Uint8Array | undefined;
}

/** How an archive is wrong, in words that follow "as". */
export class TarRule extends Error {
  override readonly name = "TarRule";
}

/** Of a long name or a PAX header: 3 KiB of path is the most that an entry may have, and attributes come on top. */
const maxExtensionBytes = 64 * 1024;

const nanosPerSecond = 1_000_000_000n;

/** So that a time in nanoseconds fits in 64 bits, as in an index and in a file system. */
const maxTimeNs = 2n ** 63n - 1n;

const kinds: Readonly<Record<string, TarEntry["kind"]>> = { "0": "file", "1": "link", "5": "directory" };

const refusedTypes: Readonly<Record<string, string>> = {
  "2": "a symlink",
  "3": "a character device",
  "4": "a block device",
  "6": "a FIFO",
  "7": "a contiguous file",
  D: "a dumped directory",
  M: "a part of a file on several volumes",
  S: "a sparse file",
  V: "a volume's label",
  g: "a global PAX header",
};

/**
 * Yields every entry in order. To its end: the mark that ends the archive, and nothing but zeros after it.
 * @param wants is told of every entry before its content is read; the content of what is not wanted is passed over.
 * @throws {TarRule} at the first thing that is wrong.
 */
export async function* tarEntries(
  bytes: ByteSource,
  wants: (entry: TarEntry) => boolean,
): AsyncGenerator<ReadEntry> {
  let number = 0;
  let extensions: Extensions = {};
  for (;;) {
    const block = await bytes.take(blockBytes);
    number++;
    if (block.length < blockBytes) throw new TarRule("it ends without the mark that ends an archive");
    if (isZeroBlock(block)) break;
    const header = checked(number, extensions, () => parseTarHeader(block));
    if (isExtension(header.type)) {
      extensions = { ...extensions, ...await readExtension(bytes, { header, number, extensions }) };
      continue;
    }
    const entry = checked(number, extensions, () => entryOf(header, extensions));
    extensions = {};
    const wanted = wants(entry);
    yield { entry, content: await readContent(bytes, entry, wanted) };
  }
  if (Object.keys(extensions).length > 0) throw new TarRule("its last header belongs to no entry");
  await requireZeros(bytes);
}

/** What headers of their own say about the entry that follows them. */
interface Extensions {
  readonly name?: string;
  readonly linkName?: string;
  readonly pax?: PaxRecords;
}

function isExtension(type: string): boolean {
  return type === "L" || type === "K" || type === "x";
}

async function readExtension(
  bytes: ByteSource,
  { header, number, extensions }: { header: TarHeader; number: number; extensions: Extensions },
): Promise<Extensions> {
  if (header.size > maxExtensionBytes) {
    throw new TarRule(`header ${number} has ${header.size} bytes of names, more than ${maxExtensionBytes}`);
  }
  const content = await takePadded(bytes, header.size);
  return checked(number, extensions, () => {
    const again = (has: unknown) => {
      if (has !== undefined) throw new HeaderRule("not be one of two of its kind for one entry");
    };
    switch (header.type) {
      case "L":
        again(extensions.name);
        return { name: nameOf(content) };
      case "K":
        again(extensions.linkName);
        return { linkName: nameOf(content) };
      default:
        again(extensions.pax);
        return { pax: parsePax(content) };
    }
  });
}

/** GNU's long names end with a NUL. */
function nameOf(content: Uint8Array): string {
  return decodeName(content.at(-1) === 0 ? content.subarray(0, -1) : content);
}

function entryOf(header: TarHeader, { name, linkName, pax }: Extensions): TarEntry {
  const kind = kinds[header.type];
  if (!kind) {
    const type = refusedTypes[header.type] ?? `of the unknown type ${quote(header.type)}`;
    throw new HeaderRule(`be of a file, a directory or a hard link, and not ${type}`);
  }
  const size = kind === "file" ? header.size : 0;
  // A size of a link is the file's, of which no bytes follow; of a directory, an allowance.
  const mtimeNs = pax?.mtimeNs ?? header.mtimeS * nanosPerSecond;
  if (mtimeNs > maxTimeNs || mtimeNs < -maxTimeNs) {
    throw new HeaderRule("have a time within 292 years of 1970");
  }
  return {
    kind,
    name: pax?.path ?? name ?? decodeName(header.name),
    linkName: pax?.linkPath ?? linkName ?? decodeName(header.linkName),
    size,
    mode: header.mode,
    mtimeNs,
  };
}

/** Says of which header a rule is broken. */
function checked<T>(number: number, { name, pax }: Extensions, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof HeaderRule)) throw error;
    const known = pax?.path ?? name;
    const which = known === undefined ? `header ${number}` : `the entry ${quote(known)}`;
    throw new TarRule(`${which} must ${error.message}`);
  }
}

async function readContent(bytes: ByteSource, entry: TarEntry, wanted: boolean) {
  if (entry.kind !== "file") return undefined;
  if (wanted) return await takePadded(bytes, entry.size);
  const padded = paddedSize(entry.size);
  if (await bytes.skip(padded) < padded) throw truncatedIn(entry.size);
  return undefined;
}

async function takePadded(bytes: ByteSource, size: number): Promise<Uint8Array> {
  const content = await bytes.take(size);
  const padding = paddedSize(size) - size;
  if (content.length < size || await bytes.skip(padding) < padding) throw truncatedIn(size);
  return content;
}

function truncatedIn(size: number): TarRule {
  return new TarRule(`it ends within a content of ${size} bytes`);
}

function paddedSize(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}

async function requireZeros(bytes: ByteSource): Promise<void> {
  const second = await bytes.take(blockBytes);
  if (second.length < blockBytes) throw new TarRule("it ends within the mark that ends an archive");
  for (let rest = second; rest.length > 0; rest = await bytes.next()) {
    if (!isZeroBlock(rest)) throw new TarRule("something follows the mark that ends an archive");
  }
}
