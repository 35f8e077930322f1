/** The plans that the C programs work by: everything that is to be found out beforehand is found out. work.h says what they hold. */
import { planLayers, type PlannedFile, readIndex, splitRoot } from "../../../lib/archive.ts";
import { openStored, type StoredLayer } from "../stored_layer.ts";

/** @param target a directory, which is there and empty. @throws {Error} for a file that spans frames, which restore.c does not know */
export async function planOfRestore(stored: StoredLayer, target: string): Promise<string> {
  const { belows, lines } = await contentsOf(stored, target);
  const directories = new Set(belows.flatMap(directoriesOf));
  const made = [...directories].map((directory) => `D ${target}/${directory}`);
  return joined([`L ${stored.place}`, ...made, ...lines]);
}

/** @param tree what was stored. @throws {Error} for a file that spans frames, which pack.c does not know */
export async function planOfPack(stored: StoredLayer, tree: string): Promise<string> {
  return joined((await contentsOf(stored, tree)).lines);
}

/** The lines of the frames and files, which are below `dir`, and the files' paths below it. */
async function contentsOf(stored: StoredLayer, dir: string) {
  await using file = await openStored(stored);
  const index = await readIndex(file, stored.layer);
  const files = [...planLayers([{ layer: stored.layer, index }]).values()].map((planned) => {
    requireInOneFrame(planned, index.frames[planned.frame]?.raw_bytes ?? 0);
    const [, below] = splitRoot(planned.path);
    return { ...planned, below };
  });
  const lines = [
    ...index.frames.map(({ offset, bytes, raw_bytes, sha256 }) =>
      `F ${offset} ${bytes} ${raw_bytes} ${sha256}`
    ),
    ...files.map(({ frame, offset, size, mode, mtime, below }) =>
      `f ${frame} ${offset} ${size} ${mode} ${mtime} ${dir}/${below}`
    ),
  ];
  return { belows: files.map(({ below }) => below), lines };
}

function requireInOneFrame({ path, offset, size }: PlannedFile, rawBytes: number): void {
  if (offset + size <= rawBytes) return;
  throw new Error(`Cannot plan for a C program as "${path}" does not lie in one frame`);
}

function joined(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}

/** Outermost first. */
function directoriesOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, at) => names.slice(0, at + 1).join("/"));
}
