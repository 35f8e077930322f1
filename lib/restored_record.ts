/** The record of what a pod restored, as text: JSON in columns, as rows take three times as long to write. Pure. */
import * as v from "valibot";
import { numbersOfVersion, packVersions, unpackVersions } from "./file_versions.ts";
import type { FileVersion } from "./system.ts";

/** A file as it was restored. */
export interface RestoredFile {
  readonly sha256: string;
  readonly stat: FileVersion;
}

/** By path: `<root>/<path below it>`. */
export type RestoredFiles = ReadonlyMap<string, RestoredFile>;

const recordSchema = v.strictObject({
  format: v.literal(2),
  /** What the record is about. */
  subject: v.string(),
  paths: v.custom<readonly string[]>(isStrings),
  sha256: v.custom<readonly string[]>(isStrings),
  /** Base64: inode, size, modification and change time (ns) of each, 64 bits each, little-endian. */
  versions: v.string(),
});

/** A schema for each of 140,000 takes more than a tenth of a second. */
function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

const bytesEach = numbersOfVersion * BigInt64Array.BYTES_PER_ELEMENT;

export function encodeRecord(subject: string, files: RestoredFiles): string {
  const all = [...files.values()];
  const versions = packVersions(all.map(({ stat }) => stat));
  const sha256 = all.map((file) => file.sha256);
  // In the machine's own order, which is little-endian on every target: the record does not leave it.
  const base64 = Buffer.from(versions.buffer).toString("base64");
  return JSON.stringify({ format: 2, subject, paths: [...files.keys()], sha256, versions: base64 });
}

/** @returns undefined where the text is no record, or one about something else. */
export function decodeRecord(text: string, subject: string): RestoredFiles | undefined {
  const parsed = v.safeParse(recordSchema, JSON.parse(text));
  if (!parsed.success || parsed.output.subject !== subject) return undefined;
  const { paths, sha256, versions: base64 } = parsed.output;
  const bytes = Buffer.from(base64, "base64");
  const isWhole = sha256.length === paths.length && bytes.length === paths.length * bytesEach &&
    bytes.toString("base64") === base64;
  if (!isWhole) return undefined;
  const versions = unpackVersions(new BigInt64Array(new Uint8Array(bytes).buffer));
  const files = new Map<string, RestoredFile>();
  for (const [at, path] of paths.entries()) {
    const [digest, stat] = [sha256[at], versions[at]];
    if (digest !== undefined && stat) files.set(path, { sha256: digest, stat });
  }
  return files;
}
