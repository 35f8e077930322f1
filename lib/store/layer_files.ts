/** Layers as files below layers/, and below incoming/ while they are uploaded. */
import { sha256 } from "../crypto.ts";
import { CacheError } from "../errors.ts";
import { isLayerName } from "../manifest.ts";
import type { LayerFile, LayerUpload, StoredLayer } from "../store.ts";
import { quote } from "../text.ts";
import { exactFile } from "./exact_file.ts";
import type { KeyDirs } from "./layout.ts";
import {
  bestEffort,
  closedOnFailure,
  createPrivate,
  ifThere,
  modifiedMs,
  onShare,
  readOnShare,
  removeAway,
  type Share,
  syncDirectory,
} from "./share.ts";

export async function listLayers(share: Share, { layers }: KeyDirs): Promise<StoredLayer[]> {
  const entries = await ifThere(() => share.fs.list(layers)) ?? [];
  const names = [...new Set(entries.map((entry) => entry.name).filter(isLayerName))].sort();
  const found = await Promise.all(names.map((name) => describeLayer(share, `${layers}/${name}`, name)));
  return found.filter((layer) => layer !== undefined);
}

async function describeLayer(share: Share, path: string, name: string): Promise<StoredLayer | undefined> {
  const stat = await ifThere(() => share.fs.stat(path));
  return stat && { name, bytes: stat.size, madeMs: modifiedMs(stat) };
}

/** Renamed away first, so that whoever opens it finds it whole or not at all. */
export async function removeLayer(
  share: Share,
  dirs: KeyDirs,
  { name, away }: { name: string; away: string },
) {
  await removeAway(share, `${dirs.layers}/${name}`, `${dirs.incoming}/${away}`);
}

export function openLayer(share: Share, path: string): Promise<LayerFile | undefined> {
  return readOnShare("read", path, async () => {
    const file = await ifThere(() => share.fs.open(path, "r"));
    if (!file) return undefined;
    const size = await closedOnFailure(file, async () => {
      const stat = await file.stat();
      if (stat.kind === "file") return stat.size;
      throw new CacheError("bad_layer", `Cannot use ${quote(path)} as it is not a regular file`);
    });
    return exactFile(file, { path, bytes: size, guard: (step) => onShare("read", path, step) });
  });
}

export async function beginLayer(share: Share, dirs: KeyDirs, freshName: () => string): Promise<LayerUpload> {
  const temporary = `${dirs.incoming}/${freshName()}.tar.zst`;
  const file = await createPrivate(share, temporary);
  const digest = sha256();
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
