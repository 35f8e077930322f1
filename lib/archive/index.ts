/** A layer's index: where each file's bytes are. Its schema, its bytes, and the check of both. Pure. */
import * as v from "valibot";
import { CacheError } from "../errors.ts";
import { describeIssue } from "../issue.ts";
import { isDense } from "../json_density.ts";

/** A frame decodes to at most this many bytes, so that a reader's memory is bounded. */
export const maxFrameRawBytes = 32 * 1024 * 1024;

/** An index decodes to at most this many bytes: about 100,000 files. */
export const maxIndexRawBytes = 32 * 1024 * 1024;

/** Those of all layers of a cache together. */
export const maxIndexesRawBytes = 2 * maxIndexRawBytes;

const sha256Pattern = /^[0-9a-f]{64}$/;
const mtimePattern = /^-?(0|[1-9]\d{0,18})$/;

const sha256Hex = v.pipe(v.string(), v.regex(sha256Pattern));
const byteCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const frameSchema = v.strictObject({
  /** Of the first byte of the frame in the layer. */
  offset: byteCount,
  /** Stored. */
  bytes: byteCount,
  /** Decoded. */
  raw_bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(maxFrameRawBytes)),
  /** Of the stored bytes. */
  sha256: sha256Hex,
});

const fileSchema = v.strictObject({
  /** `<root>/<path below it>` */
  path: v.string(),
  size: byteCount,
  /** Permission bits. */
  mode: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0o777)),
  /** Nanoseconds since 1970. A string, as a JSON number cannot hold it. */
  mtime: v.pipe(v.string(), v.regex(mtimePattern)),
  sha256: sha256Hex,
  /** Where its bytes begin: the frame's number, and the offset in what it decodes to. */
  frame: byteCount,
  offset: byteCount,
  /** How often the path's file was replaced by a newer one, where it was. */
  replacements: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
});

const indexSchema = v.strictObject({
  format: v.literal(1),
  frames: v.array(frameSchema),
  files: v.array(fileSchema),
});

export type Frame = v.InferOutput<typeof frameSchema>;
export type IndexedFile = v.InferOutput<typeof fileSchema>;
export type LayerIndex = v.InferOutput<typeof indexSchema>;

export function encodeIndex(index: LayerIndex): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(index));
}

/** @throws {CacheError} `bad_index`, naming the field. */
export function parseIndex(bytes: Uint8Array, layer: string): LayerIndex {
  if (isDense(bytes)) {
    throw new CacheError(
      "bad_index",
      `Cannot use layer ${layer} as its index is no list of frames and files`,
      {
        layer,
      },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CacheError("bad_index", `Cannot use layer ${layer} as its index is not JSON`, { cause, layer });
  }
  if (isPlainIndex(value)) return value;
  const parsed = v.safeParse(indexSchema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new CacheError(
    "bad_index",
    `Cannot use layer ${layer} as its index is not of the right shape: ${describeIssue(issue)}`,
    { layer },
  );
}

/**
 * Without a look at each rule by itself, which takes far longer, and there may be 100,000 files. What this does not take is for
 * the schema to judge, and to say what is wrong with it.
 */
function isPlainIndex(value: unknown): value is LayerIndex {
  if (!isObject(value) || countOf(value) !== 3 || value["format"] !== 1) return false;
  const { frames, files } = value;
  return v.is(v.array(frameSchema), frames) && Array.isArray(files) && files.every(isPlainFile);
}

function isPlainFile(value: unknown): boolean {
  if (!isObject(value) || countOf(value) !== 7) return false;
  const { path, size, mode, mtime, sha256, frame, offset } = value;
  return typeof path === "string" && isByteCount(size) && isByteCount(mode) && mode <= 0o777 &&
    typeof mtime === "string" && mtimePattern.test(mtime) &&
    typeof sha256 === "string" && sha256Pattern.test(sha256) && isByteCount(frame) && isByteCount(offset);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function countOf(value: object): number {
  return Object.keys(value).length;
}

function isByteCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
