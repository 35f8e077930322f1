/** A tree as the layer that a save makes of it, in a file. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as v from "valibot";
import { packLayer, type SourceFile } from "../../lib/archive.ts";
import type { Layer } from "../../lib/manifest.ts";
import type { LayerFile } from "../../lib/store.ts";
import { namesInOrder } from "./stream.ts";

/** Where a layer lies, and what a manifest says of it. */
export interface StoredLayer {
  readonly place: string;
  readonly layer: Layer;
}

export const storedLayerSchema = v.object({
  place: v.string(),
  layer: v.object({
    name: v.string(),
    bytes: v.number(),
    index: v.object({
      offset: v.number(),
      bytes: v.number(),
      sha256: v.string(),
    }),
    files: v.number(),
    raw_bytes: v.number(),
  }),
});

/** The root that every path in the layer begins with. */
const rootName = "tree";

/** Packs the files below `tree`, likes together, into a new file at `place`. */
export async function storeLayer(
  tree: string,
  place: string,
): Promise<StoredLayer> {
  const fd = fs.openSync(place, "wx");
  try {
    const write = (bytes: Uint8Array) => Promise.resolve(fs.writeFileSync(fd, bytes));
    const { layer } = await packLayer(sourceFiles(tree), { write });
    return { place, layer: { name: path.basename(place), ...layer } };
  } finally {
    fs.closeSync(fd);
  }
}

async function* sourceFiles(tree: string): AsyncGenerator<SourceFile> {
  for (const name of namesInOrder(tree, "by extension")) {
    const file = path.join(tree, name);
    const { mode, mtimeNs } = fs.statSync(file, { bigint: true });
    const content = await fs.promises.readFile(file);
    yield {
      path: `${rootName}/${name}`,
      content,
      mode: Number(mode) & 0o777,
      mtimeNs,
    };
  }
}

/** Opens a stored layer, as a store does. */
export async function openStored(
  { place, layer }: StoredLayer,
): Promise<LayerFile> {
  const handle = await fs.promises.open(place);
  return {
    bytes: layer.bytes,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      if (bytesRead === length) return bytes;
      throw new Error(
        `Cannot read ${length} bytes at ${offset} of "${place}" as it gives ${bytesRead}; it must not change meanwhile`,
      );
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}
