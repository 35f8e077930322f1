/**
 * One header block of a tar archive, read strictly. modern-tar, which writes ours, is too kind a reader for what comes
 * from elsewhere: it takes types that it does not know (sparse files) for plain ones, and lets a PAX record silently
 * replace a size. Layout: POSIX ustar, and GNU's variant of it. Pure.
 */

export const blockBytes = 512;

export interface TarHeader {
  /** As it stands there, prefix included. */
  readonly name: Uint8Array;
  /** The type's character: "0" for a file. */
  readonly type: string;
  readonly linkName: Uint8Array;
  readonly size: number;
  /** All of them: setuid, setgid and sticky included. */
  readonly mode: number;
  readonly mtimeS: bigint;
}

/** What is wrong with a header, in words that follow "its header must". */
export class HeaderRule extends Error {
  override readonly name = "HeaderRule";
}

const fields = {
  name: [0, 100],
  mode: [100, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  prefix: [345, 155],
} as const;

type Field = keyof typeof fields;

const posixMagic = "ustar\x0000";
const gnuMagic = "ustar  \0";

/** @param block `blockBytes` long. @throws {HeaderRule} */
export function parseTarHeader(block: Uint8Array): TarHeader {
  if (checksumOf(block) !== readOctal(block, "checksum")) throw new HeaderRule("have the right checksum");
  const magic = Buffer.from(slice(block, "magic")).toString("latin1");
  if (magic !== posixMagic && magic !== gnuMagic) throw new HeaderRule("be one of POSIX or GNU tar");
  const prefix = magic === posixMagic ? readName(block, "prefix") : new Uint8Array(0);
  const name = readName(block, "name");
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    // Very old archives have NUL for a file.
    type: String.fromCharCode(slice(block, "type")[0] || 0x30),
    linkName: readName(block, "linkName"),
    size: readOctal(block, "size"),
    mode: readOctal(block, "mode"),
    mtimeS: readTime(block),
  };
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

function slice(block: Uint8Array, field: Field): Uint8Array {
  const [start, length] = fields[field];
  return block.subarray(start, start + length);
}

function readName(block: Uint8Array, field: Field): Uint8Array {
  const bytes = slice(block, field);
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Octal digits, and nothing else but leading blanks and the blank or NUL that ends them. */
function readOctal(block: Uint8Array, field: Field): number {
  const text = Buffer.from(slice(block, field)).toString("latin1");
  const digits = /^ *([0-7]+)[ \0]*$/.exec(text)?.[1];
  if (digits === undefined) throw new HeaderRule(`have a ${field} of octal digits`);
  return Number.parseInt(digits, 8);
}

/** GNU tar writes times before 1970 in base 256: a set bit, then a signed number. */
function readTime(block: Uint8Array): bigint {
  const bytes = slice(block, "mtime");
  if (((bytes[0] ?? 0) & 0x80) === 0) return BigInt(readOctal(block, "mtime"));
  const number = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  const bits = BigInt(bytes.length * 8);
  return bytes[0] === 0xff ? number - (1n << bits) : number - (1n << (bits - 1n));
}

/** The sum of all bytes, those of the checksum itself counting as blanks. */
function checksumOf(block: Uint8Array): number {
  const own = slice(block, "checksum");
  return sumOf(block) - sumOf(own) + own.length * 0x20;
}

function sumOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum + byte, 0);
}
