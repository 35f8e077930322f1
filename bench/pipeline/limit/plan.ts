/** The plans that the C programs work by: everything that is to be found out beforehand is found out. */
import { planLayers, type PlannedFile, readIndex, splitRoot } from "../../../lib/archive.ts";
import { openStored, type StoredLayer } from "../stored_layer.ts";

/** @param target a directory, which is there and empty. @throws {Error} for a file that spans frames, which restore.c does not know */
export async function planOfRestore(
  stored: StoredLayer,
  target: string,
): Promise<string> {
  const { index, files } = await contentsOf(stored);
  const directories = new Set(
    files.flatMap(({ below }) => directoriesOf(below)),
  );
  return [
    `L ${stored.place}`,
    ...[...directories].map((directory) => `D ${target}/${directory}`),
    ...index.frames.map(({ offset, bytes, raw_bytes, sha256 }) =>
      `F ${offset} ${bytes} ${raw_bytes} ${sha256}`
    ),
    ...files.map(({ frame, offset, size, mode, mtime, below }) =>
      `f ${frame} ${offset} ${size} ${mode} ${mtime} ${target}/${below}`
    ),
    "",
  ].join("\n");
}

/** @param tree what was stored. @throws {Error} for a file that spans frames, which pack.c does not know */
export async function planOfPack(
  stored: StoredLayer,
  tree: string,
): Promise<string> {
  const { files } = await contentsOf(stored);
  const inOrder = files.toSorted((one, other) => one.frame - other.frame || one.offset - other.offset);
  return [
    ...inOrder.map(({ frame, size, below }) => `f ${frame} ${size} ${tree}/${below}`),
    "",
  ].join("\n");
}

async function contentsOf(stored: StoredLayer) {
  await using file = await openStored(stored);
  const index = await readIndex(file, stored.layer);
  const planned = [...planLayers([{ layer: stored.layer, index }]).values()];
  const files = planned.map((one) => {
    requireInOneFrame(one, index.frames[one.frame]?.raw_bytes ?? 0);
    const [, below] = splitRoot(one.path);
    return { ...one, below };
  });
  return { index, files };
}

function requireInOneFrame(
  { path, offset, size }: PlannedFile,
  rawBytes: number,
): void {
  if (offset + size <= rawBytes) return;
  throw new Error(
    `Cannot plan for a C program as "${path}" does not lie in one frame`,
  );
}

/** Outermost first. */
function directoriesOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, at) => names.slice(0, at + 1).join("/"));
}
