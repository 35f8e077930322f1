/** The plan that restore.c restores by: everything that is to be found out beforehand is found out. */
import { planLayers, readIndex, splitRoot } from "../../../lib/archive.ts";
import { openStored, type StoredLayer } from "../stored_layer.ts";

/** @param target a directory, which is there and empty. @throws {Error} for a file that spans frames, which restore.c does not know */
export async function planOf(
  stored: StoredLayer,
  target: string,
): Promise<string> {
  await using file = await openStored(stored);
  const index = await readIndex(file, stored.layer);
  const files = [...planLayers([{ layer: stored.layer, index }]).values()].map(
    (planned) => {
      const [, below] = splitRoot(planned.path);
      const rawBytes = index.frames[planned.frame]?.raw_bytes ?? 0;
      if (planned.offset + planned.size > rawBytes) {
        throw new Error(
          `Cannot plan for restore.c as "${planned.path}" does not lie in one frame`,
        );
      }
      return { ...planned, below };
    },
  );
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

/** Outermost first. */
function directoriesOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, at) => names.slice(0, at + 1).join("/"));
}
