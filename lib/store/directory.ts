/** A store in a directory of a shared file system. docs/format.md describes what lies in it. */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { sweepUnfinished } from "../cleanup.ts";
import { CacheError } from "../errors.ts";
import { isKey } from "../key.ts";
import { formatVersion } from "../manifest.ts";
import { type LayerFile, type LayerUpload, type Store, useNoteIntervalMs } from "../store.ts";
import type { OpenFile, System } from "../system.ts";
import {
  formatFileName,
  generationFileName,
  generationNumberOf,
  type KeyDirs,
  keyDirs,
  nativeDirName,
} from "./layout.ts";
import {
  bestEffort,
  closedOnFailure,
  type CommitWay,
  createPrivate,
  ensureDirectory,
  ifThere,
  modesAfter,
  onShare,
  probeCommitWay,
  putIfAbsent,
  readPut,
  type Share,
  syncDirectory,
} from "./share.ts";

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

interface Format {
  readonly store_id: string;
  readonly commit: CommitWay;
}

/** Random bits in a name that is never used twice. */
const nonceBytes = 16;

type World = Pick<System, "fs" | "random" | "clock">;

/**
 * Opens the store in `dir` for reading.
 * @returns undefined where no store was made there yet.
 * @throws {CacheError} `store_unsupported` for a newer format, `store_io` where the share fails.
 */
export async function openStore(world: World, dir: string): Promise<Store | undefined> {
  return await onShare("open the store", dir, async () => {
    const root = await ifThere(() => world.fs.stat(dir));
    if (!root) return undefined;
    const share = { fs: world.fs, modes: modesAfter(root) };
    const format = await readFormat(share, dir);
    return format && directoryStore(world, share, { dir, format });
  });
}

/**
 * Opens the store in `dir`, which is made if need be: its parent must be there.
 * @throws {CacheError} `store_unsupported` where the file system has no put-if-absent.
 */
export async function openOrCreateStore(world: World, dir: string): Promise<Store> {
  return await onShare("open the store", dir, async () => {
    const share = { fs: world.fs, modes: modesAfter(await world.fs.stat(dir)) };
    const format = await readFormat(share, dir) ?? await createFormat(world, share, dir);
    return directoryStore(world, share, { dir, format });
  });
}

/** @returns undefined where there is none, or one that is not whole: it is made again by the next save. */
async function readFormat(share: Share, dir: string): Promise<Format | undefined> {
  const path = `${dir}/${nativeDirName}/${formatFileName}`;
  const bytes = await readPut(share, path);
  return bytes && parseFormat(bytes, path);
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
      `Cannot use the store of "${path}" as it has format ${JSON.stringify(value["format"])} and requires ` +
        `${
          JSON.stringify(value["requires"] ?? [])
        }, where this program knows format ${formatVersion} and no ` +
        "requirement; use a newer b10-compile-cache",
    );
  }
  const parsed = v.safeParse(formatSchema, value);
  return parsed.success ? parsed.output : undefined;
}

async function createFormat(world: World, share: Share, dir: string): Promise<Format> {
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
  const found = await readPut(share, path);
  if (!found || parseFormat(found, path)) return undefined;
  const aside = `${path}.torn-${nonce}`;
  if (await ifThere(async () => (await share.fs.rename(path, aside), true)) === undefined) return undefined;
  const moved = await readPut(share, aside);
  return moved && parseFormat(moved, path) ? moved : undefined;
}

function directoryStore(world: World, share: Share, opened: { dir: string; format: Format }): Store {
  const { format } = opened;
  const nativeDir = `${opened.dir}/${nativeDirName}`;
  const freshName = () => world.random.hex(nonceBytes);
  const ensure = async (dirs: KeyDirs) => {
    for (const dir of [dirs.generations, dirs.layers, dirs.incoming]) {
      await ensureDirectory(share, dir, nativeDir);
    }
  };
  return {
    id: format.store_id,
    keys: () =>
      onShare("list", nativeDir, async () => {
        const entries = await ifThere(() => share.fs.list(nativeDir)) ?? [];
        return entries.filter((entry) => entry.kind === "directory").map((entry) => entry.name).filter(isKey)
          .sort();
      }),
    generationNumbers: (key) => {
      const { generations } = keyDirs(nativeDir, key);
      return onShare("list", generations, async () => {
        const entries = await ifThere(() => share.fs.list(generations)) ?? [];
        return entries.map((entry) => generationNumberOf(entry.name)).filter((n) => n !== undefined)
          .sort((a, b) => a - b);
      });
    },
    readGeneration: (key, n) => {
      const path = `${keyDirs(nativeDir, key).generations}/${generationFileName(n)}`;
      return onShare("read", path, () => readPut(share, path));
    },
    putGeneration: (key, n, bytes) => {
      const dirs = keyDirs(nativeDir, key);
      const path = `${dirs.generations}/${generationFileName(n)}`;
      return onShare("commit", path, async () => {
        await ensure(dirs);
        const temporary = `${dirs.incoming}/${freshName()}.json`;
        return await putIfAbsent(share, { path, bytes, temporary, way: format.commit });
      });
    },
    openLayer: (key, name) => openLayer(share, `${keyDirs(nativeDir, key).layers}/${name}`),
    beginLayer: (key) => {
      const dirs = keyDirs(nativeDir, key);
      return onShare("write", dirs.incoming, async () => {
        await ensure(dirs);
        return await beginLayer(share, dirs, freshName);
      });
    },
    sweep: (key, maxAgeMs) =>
      bestEffort(() => sweepIncoming(share, keyDirs(nativeDir, key), { freshName, maxAgeMs })),
    noteUse: (key) => bestEffort(() => noteUse(world, share, keyDirs(nativeDir, key))),
    lastUseMs: (key) => {
      const { used } = keyDirs(nativeDir, key);
      return onShare("look at", used, () => modifiedMs(share, used));
    },
    freeBytes: () => onShare("ask for the free space of", opened.dir, () => share.fs.freeBytes(opened.dir)),
  };
}

/** Everything below incoming/ is unfinished, by whatever way of committing. */
async function sweepIncoming(
  share: Share,
  { incoming }: KeyDirs,
  { freshName, maxAgeMs }: { freshName: () => string; maxAgeMs: number },
): Promise<void> {
  const fresh = `${incoming}/${freshName()}.sweep`;
  await (await createPrivate(share, fresh)).close();
  try {
    await sweepUnfinished(share.fs, {
      dir: incoming,
      isUnfinished: (name) => /^[0-9a-f]{32}\./.test(name),
      fresh,
      maxAgeMs,
      awayName: () => `${freshName()}.swept`,
    });
  } finally {
    await bestEffort(() => share.fs.unlink(fresh));
  }
}

async function modifiedMs(share: Share, path: string): Promise<number | undefined> {
  const stat = await ifThere(() => share.fs.stat(path));
  return stat && Number(stat.mtimeNs / 1_000_000n);
}

async function noteUse(world: World, share: Share, { used }: KeyDirs): Promise<void> {
  const lastMs = await modifiedMs(share, used);
  if (lastMs === undefined) return await (await createPrivate(share, used)).close();
  // The clocks of two machines differ: a note too many or too few does no harm.
  if (world.clock.nowMs() - lastMs >= useNoteIntervalMs) await share.fs.touch(used);
}

function openLayer(share: Share, path: string): Promise<LayerFile | undefined> {
  return onShare("read", path, async () => {
    const file = await ifThere(() => share.fs.open(path, "r"));
    if (!file) return undefined;
    const { size } = await closedOnFailure(file, () => file.stat());
    return {
      bytes: size,
      read: (offset, length) => onShare("read", path, () => readExactly(file, { path, offset, length })),
      [Symbol.asyncDispose]: () => file.close(),
    };
  });
}

async function readExactly(
  file: OpenFile,
  { path, offset, length }: { path: string; offset: number; length: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await file.read(bytes.subarray(filled), offset + filled);
    if (count === 0) {
      throw new CacheError("bad_layer", `Cannot use "${path}" as it ends at byte ${offset + filled}`);
    }
    filled += count;
  }
  return bytes;
}

async function beginLayer(share: Share, dirs: KeyDirs, freshName: () => string): Promise<LayerUpload> {
  const temporary = `${dirs.incoming}/${freshName()}.tar.zst`;
  const file = await createPrivate(share, temporary);
  const digest = createHash("sha256");
  let open = true;
  const close = async () => {
    if (!open) return;
    open = false;
    await file.close();
  };
  return {
    write: (bytes) =>
      onShare("write", temporary, async () => {
        digest.update(bytes);
        await file.append(bytes);
      }),
    publish: () =>
      onShare("publish", temporary, async () => {
        await file.sync();
        await close();
        const name = `${digest.digest("hex")}-${freshName()}.tar.zst`;
        // No one else has this name, so a rename overwrites nothing.
        await share.fs.rename(temporary, `${dirs.layers}/${name}`);
        await syncDirectory(share, dirs.layers);
        return name;
      }),
    [Symbol.asyncDispose]: async () => {
      await bestEffort(close);
      await bestEffort(() => share.fs.unlink(temporary));
    },
  };
}
