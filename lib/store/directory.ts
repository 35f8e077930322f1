/** A store in a directory of a shared file system. docs/format.md describes what lies in it. */
import { isKey } from "../key.ts";
import { maxGenerationBytes } from "../manifest.ts";
import type { Store } from "../store.ts";
import type { System } from "../system.ts";
import { createFormat, type Format, readFormat } from "./format_file.ts";
import { beginLayer, listLayers, openLayer, removeLayer } from "./layer_files.ts";
import {
  generationFileName,
  generationNumberOf,
  type KeyDirs,
  keyDirs,
  nativeDirName,
  nonceBytes,
} from "./layout.ts";
import { leaseFiles } from "./lease_files.ts";
import { shareNowMs, sweepLeftovers } from "./leftovers.ts";
import { listMarks, putMark } from "./mark_files.ts";
import { putIfAbsent, readPut, removePutAway } from "./put.ts";
import {
  bestEffort,
  ensureDirectory,
  ifThere,
  modesAfter,
  modifiedMs,
  onShare,
  readOnShare,
  removeAway,
  type Share,
  syncDirectory,
} from "./share.ts";
import { lastUseMs, noteUse } from "./usage.ts";

type World = Pick<System, "fs" | "random" | "clock">;

/**
 * Opens the store in `dir` for reading.
 * @returns undefined where no store was made there yet.
 * @throws {CacheError} `store_unsupported` for a newer format, `store_io` where the share fails.
 */
export async function openStore(world: World, dir: string): Promise<Store | undefined> {
  return await readOnShare("open the store", dir, async () => {
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

function directoryStore(world: World, share: Share, opened: { dir: string; format: Format }): Store {
  const { format } = opened;
  const { random, clock } = world;
  const nativeDir = `${opened.dir}/${nativeDirName}`;
  const dirsOf = (key: Parameters<Store["sweep"]>[0]) => keyDirs(nativeDir, key);
  const freshName = () => random.hex(nonceBytes);
  const ensure = async (dirs: KeyDirs) => {
    for (const dir of [dirs.generations, dirs.layers, dirs.incoming]) {
      await ensureDirectory(share, dir, nativeDir);
    }
  };
  return {
    id: format.store_id,
    keys: () =>
      readOnShare("list", nativeDir, async () => {
        const entries = await ifThere(() => share.fs.list(nativeDir)) ?? [];
        const names = entries.filter((entry) => entry.kind === "directory").map((entry) => entry.name);
        return [...new Set(names.filter(isKey))].sort();
      }),
    generationNumbers: (key) => {
      const { generations } = dirsOf(key);
      return readOnShare("list", generations, async () => {
        const entries = await ifThere(() => share.fs.list(generations)) ?? [];
        const numbers = entries.map((entry) => generationNumberOf(entry.name)).filter((n) => n !== undefined);
        return [...new Set(numbers)].sort((a, b) => a - b);
      });
    },
    readGeneration: (key, n) => {
      const path = `${dirsOf(key).generations}/${generationFileName(n)}`;
      return readOnShare("read", path, () => readPut(share, path, maxGenerationBytes));
    },
    generationMadeMs: (key, n) => {
      const path = `${dirsOf(key).generations}/${generationFileName(n)}`;
      return readOnShare("look at", path, async () => {
        const stat = await ifThere(() => share.fs.stat(path));
        return stat && modifiedMs(stat);
      });
    },
    putGeneration: (key, n, bytes) => {
      const dirs = dirsOf(key);
      const path = `${dirs.generations}/${generationFileName(n)}`;
      return onShare("commit", path, async () => {
        await ensure(dirs);
        const temporary = `${dirs.incoming}/${freshName()}.json`;
        return await putIfAbsent(share, { path, bytes, temporary, way: format.commit });
      });
    },
    removeGenerations: (key, numbers) => {
      const { generations, incoming } = dirsOf(key);
      return onShare("remove generations of", generations, async () => {
        for (const n of numbers) {
          const path = `${generations}/${generationFileName(n)}`;
          await removePutAway(share, path, `${incoming}/${freshName()}.swept`);
        }
        if (numbers.length > 0) await syncDirectory(share, generations);
      });
    },
    layers: (key) => {
      const dirs = dirsOf(key);
      return readOnShare("list", dirs.layers, () => listLayers(share, dirs));
    },
    openLayer: (key, name) => openLayer(share, `${dirsOf(key).layers}/${name}`),
    beginLayer: (key) => {
      const dirs = dirsOf(key);
      return onShare("write", dirs.incoming, async () => {
        await ensure(dirs);
        return await beginLayer(share, dirs, freshName);
      });
    },
    removeLayer: (key, name) => {
      const dirs = dirsOf(key);
      return onShare("remove", `${dirs.layers}/${name}`, async () => {
        await removeLayer(share, dirs, { name, away: `${freshName()}.swept` });
      });
    },
    marks: (key) => {
      const dirs = dirsOf(key);
      return readOnShare("list", dirs.marks, () => listMarks(share, dirs));
    },
    putMark: (key, bytes) => {
      const dirs = dirsOf(key);
      return onShare(
        "write",
        dirs.marks,
        () => putMark(share, dirs, { nativeDir, nonce: freshName(), bytes }),
      );
    },
    removeMark: (key, name) => {
      const dirs = dirsOf(key);
      return onShare("remove", `${dirs.marks}/${name}`, async () => {
        await removeAway(share, `${dirs.marks}/${name}`, `${dirs.incoming}/${freshName()}.swept`);
      });
    },
    sweep: (key, maxAgeMs) =>
      bestEffort(() => sweepLeftovers({ share, random, clock, nativeDir }, dirsOf(key), maxAgeMs)),
    noteUse: (key) => bestEffort(() => noteUse({ clock, share }, dirsOf(key), freshName())),
    lastUseMs: (key) => {
      const dirs = dirsOf(key);
      return readOnShare("look at", dirs.used, () => lastUseMs(share, dirs));
    },
    nowMs: (key) => {
      const dirs = dirsOf(key);
      return onShare("ask for the time of", dirs.incoming, async () => {
        await ensure(dirs);
        return await shareNowMs({ share, random }, dirs);
      });
    },
    freeBytes: () => onShare("ask for the free space of", opened.dir, () => share.fs.freeBytes(opened.dir)),
    leases: leaseFiles({ random, share, nativeDir, way: format.commit }),
  };
}
