/** format.json: what a store says about itself. docs/format.md describes it. */
import * as v from "valibot";
import { shownText } from "../issue.ts";
import { CacheError } from "../errors.ts";
import { formatVersion } from "../manifest.ts";
import type { System } from "../system.ts";
import { formatFileName, nativeDirName, nonceBytes } from "./layout.ts";
import { type CommitWay, probeCommitWay, putIfAbsent, readPut } from "./put.ts";
import { ensureDirectory, ifThere, type Share } from "./share.ts";

/** Of whatever version: everything else is torn. */
const anyFormatSchema = v.looseObject({ format: v.unknown() });

/** Of a version that this program can read, whatever the rest is like. */
const knownFormatSchema = v.looseObject({
  format: v.literal(formatVersion),
  requires: v.optional(v.strictTuple([])),
});

const formatSchema = v.looseObject({
  format: v.literal(formatVersion),
  store_id: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  commit: v.picklist(["link", "rename"]),
  requires: v.strictTuple([]),
});

/** It has 100. */
const maxFormatBytes = 4096;

export interface Format {
  readonly store_id: string;
  readonly commit: CommitWay;
}

/** @returns undefined where there is none, or one that is not whole: it is made again by the next save. */
export async function readFormat(share: Share, dir: string): Promise<Format | undefined> {
  const path = `${dir}/${nativeDirName}/${formatFileName}`;
  // A network file system can answer once with too few bytes: only what is torn twice is torn.
  for (let attempt = 1;; attempt++) {
    const bytes = await readPut(share, path, maxFormatBytes);
    const format = bytes && parseFormat(bytes, path);
    if (!bytes || format || attempt === 2) return format;
  }
}

/** @throws {CacheError} `store_unsupported` for a newer format or a requirement: that is never the same as torn. */
function parseFormat(bytes: Uint8Array, path: string): Format | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  if (!v.is(anyFormatSchema, value)) return undefined;
  if (!v.is(knownFormatSchema, value)) {
    throw new CacheError(
      "store_unsupported",
      `Cannot use the store of "${path}" as it has format ${
        shownText(JSON.stringify(value["format"]))
      } and requires ` +
        `${
          shownText(JSON.stringify(value["requires"] ?? []))
        }, where this program knows format ${formatVersion} and no ` +
        "requirement; use a newer b10-compile-cache",
    );
  }
  const parsed = v.safeParse(formatSchema, value);
  return parsed.success ? parsed.output : undefined;
}

export async function createFormat(
  world: Pick<System, "random">,
  share: Share,
  dir: string,
): Promise<Format> {
  const nativeDir = `${dir}/${nativeDirName}`;
  await ensureDirectory(share, nativeDir, dir);
  const nonce = world.random.hex(nonceBytes);
  const commit = await probeCommitWay(share, nativeDir, nonce);
  if (!commit) {
    throw new CacheError(
      "store_unsupported",
      `Cannot save in "${dir}" as its file system has neither hard links nor a rename of directories that spares ` +
        "a non-empty one, so that two pods could overwrite each other; use another file system for B10FS_CACHE_DIR",
    );
  }
  const path = `${nativeDir}/${formatFileName}`;
  const put = (bytes: Uint8Array) =>
    putIfAbsent(share, {
      path,
      bytes,
      temporary: `${path}.new-${world.random.hex(nonceBytes)}`,
      way: commit,
    });
  const mistaken = await moveTornAway(share, path, nonce);
  const fresh = { format: formatVersion, store_id: world.random.hex(nonceBytes), commit, requires: [] };
  await put(mistaken ?? new TextEncoder().encode(`${JSON.stringify(fresh)}\n`));
  const made = await readFormat(share, dir);
  if (!made) throw new CacheError("bad_format", `Cannot read "${path}" right after it was made`);
  return made;
}

/**
 * A format.json that is no format is out of the way before a new one is put.
 * @returns what was moved, if by then another pod had put a good one in its place: it belongs back there.
 */
async function moveTornAway(share: Share, path: string, nonce: string): Promise<Uint8Array | undefined> {
  const found = await readPut(share, path, maxFormatBytes);
  if (!found || parseFormat(found, path)) return undefined;
  const aside = `${path}.torn-${nonce}`;
  if (await ifThere(async () => (await share.fs.rename(path, aside), true)) === undefined) return undefined;
  const moved = await readPut(share, aside, maxFormatBytes);
  return moved && parseFormat(moved, path) ? moved : undefined;
}
