/** Rivals that are one line of a shell: tar with zstd or gzip, and a plain copy. */
import * as path from "node:path";
import { emptyDirectory, remove } from "../places.ts";
import { baseEnvironment } from "../processes/environment.ts";
import type { Contender, Places } from "./contender.ts";

interface ShellLines {
  readonly name: string;
  readonly stored: string;
  readonly load: string;
  readonly save: (tree: string) => string;
}

function shell(
  { tree, target }: Places,
  { name, stored, load, save }: ShellLines,
): Contender {
  return {
    name,
    stored,
    savesChangesAlone: false,
    prepare: (operation) => {
      if (operation === "load") emptyDirectory(target);
      else remove(stored);
    },
    command: (operation, options = { tree }) => ({
      argv: ["sh", "-c", operation === "load" ? load : save(options.tree)],
      env: baseEnvironment(),
    }),
  };
}

export const tarZstdName = "tar, zstd -3 -T0 --long=27";
export const tarGzipName = "tar, gzip -6";

export function tarZstd(places: Places): Contender {
  const stored = path.join(places.share, "tree.tar.zst");
  return shell(places, {
    name: tarZstdName,
    stored,
    load: `tar --zstd -xf ${stored} -C ${places.target}`,
    save: (tree) => `tar -c -C ${tree} . | zstd -3 -T0 --long=27 --quiet -o ${stored}`,
  });
}

export function tarGzip(places: Places): Contender {
  const stored = path.join(places.share, "tree.tar.gz");
  return shell(places, {
    name: tarGzipName,
    stored,
    load: `tar -xzf ${stored} -C ${places.target}`,
    save: (tree) => `tar -czf ${stored} -C ${tree} .`,
  });
}

export function copy(places: Places): Contender {
  const stored = path.join(places.share, "copy");
  return shell(places, {
    name: "cp -r",
    stored,
    load: `cp -r ${stored}/. ${places.target}`,
    save: (tree) => `cp -r ${tree} ${stored}`,
  });
}
