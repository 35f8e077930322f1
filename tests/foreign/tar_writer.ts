/** Tar archives from bytes, right ones and wrong ones. */
import * as zlib from "node:zlib";

export const blockBytes = 512;

export interface Entry {
  readonly name?: string | Uint8Array;
  readonly content?: Uint8Array | string;
  /** "0" for a file. */
  readonly type?: string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly mtimeS?: number;
  /** What the header says, if not the content's length; a text stands there as it is. */
  readonly size?: number | string;
  /** "ustar\0" and version; GNU's by default. */
  readonly magic?: string;
  readonly prefix?: string;
  /** Is added to the right checksum. */
  readonly checksumError?: number;
  /** Changes the header before the checksum is made. */
  readonly patch?: (header: Uint8Array) => void;
}

export const gnuMagic = "ustar  \0";
export const posixMagic = "ustar\x0000";

export function entry(given: Entry): Uint8Array {
  const content = bytesOf(given.content ?? "");
  const padding = new Uint8Array(-content.length & (blockBytes - 1));
  return Buffer.concat([header(given, content.length), content, padding]);
}

export function header(given: Entry, contentBytes: number): Uint8Array {
  const block = new Uint8Array(blockBytes);
  const put = (at: number, value: string | Uint8Array) => block.set(bytesOf(value), at);
  put(0, given.name ?? "./file");
  put(100, octal(given.mode ?? 0o644, 8));
  put(108, octal(0, 8));
  put(116, octal(0, 8));
  const size = given.size ?? contentBytes;
  put(124, typeof size === "string" ? size : octal(size, 12));
  put(136, octal(given.mtimeS ?? 1_700_000_000, 12));
  put(156, given.type ?? "0");
  put(157, given.linkName ?? "");
  put(257, given.magic ?? gnuMagic);
  put(345, given.prefix ?? "");
  given.patch?.(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0) + (given.checksumError ?? 0);
  put(148, octal(sum, 7));
  return block;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}

/** A PAX header for the entry that follows. */
export function pax(records: Readonly<Record<string, string>>, type = "x"): Uint8Array {
  return entry({ name: "./PaxHeaders/file", type, content: paxRecords(records) });
}

export function paxRecords(records: Readonly<Record<string, string>>): string {
  return Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    let length = rest + String(rest).length;
    if (rest + String(length).length !== length) length = rest + String(length).length;
    return `${length} ${key}=${value}\n`;
  }).join("");
}

/** GNU's header of a long name ("L") or a long link name ("K") for the entry that follows. */
export function long(type: "L" | "K", name: string): Uint8Array {
  return entry({ name: "././@LongLink", type, content: `${name}\0` });
}

export const endMark = new Uint8Array(2 * blockBytes);

export function tar(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([...parts, endMark]);
}

export function tarGz(...parts: readonly Uint8Array[]): Uint8Array {
  return zlib.gzipSync(tar(...parts));
}
