/** What becomes of a cache's files on a pod whose directories lie elsewhere than those that the store has them for. */
import { directoryOf } from "./entry_path.ts";
import type { Manifest } from "./manifest.ts";
import type { Operation } from "./operation.ts";
import { canBeRewritten, isRelocatable, type Move, movesBetween, relocate } from "./relocation.ts";
import { rootPaths } from "./roots.ts";
import { withoutSecrets } from "./secrets.ts";
import { countOf, quote } from "./text.ts";

export interface House {
  /**
   * Those that can be used on the other side: where a path cannot be rewritten, the directories of the files that hold
   * it are left out whole, with a notice. Triton takes such a directory for a kernel, and vLLM for an index.
   */
  reachable<T extends { readonly path: string } | { readonly planned: { readonly path: string } }>(
    files: readonly T[],
  ): readonly T[];
  /** The content that a file has on the other side; the same bytes for all but a few. */
  rewritten(path: string, content: Uint8Array): Uint8Array;
}

/** From the store to this pod. */
export function movingHouse(operation: Pick<Operation, "roots" | "notice">, manifest: Manifest): House {
  return houseOf(movesBetween(recordedPaths(manifest), rootPaths(operation.roots)), operation.notice);
}

/** From this pod to the store. @param manifest the head's, if there is one. */
export function movingBack(
  operation: Pick<Operation, "roots" | "notice">,
  manifest: Manifest | undefined,
): House {
  const recorded = manifest ? recordedPaths(manifest) : {};
  const house = houseOf(movesBetween(rootPaths(operation.roots), recorded), operation.notice);
  // The way into a store is also where secrets stay behind.
  return { ...house, rewritten: (path, content) => withoutSecrets(path, house.rewritten(path, content)) };
}

function recordedPaths({ roots }: Manifest): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(roots).map(([name, { path }]) => [name, path]));
}

/** Where nothing has moved. */
export const unmoved: House = { reachable: (files) => files, rewritten: withoutSecrets };

function houseOf(moves: readonly Move[], notice: (text: string) => void): House {
  const stuck = moves.find((move) => !canBeRewritten(move));
  return {
    reachable: (files) => {
      if (!stuck) return files;
      const pathOf = (file: typeof files[number]) => "planned" in file ? file.planned.path : file.path;
      const left = new Set(files.map(pathOf).filter(isRelocatable).map(directoryOf));
      const kept = files.filter((file) => !left.has(directoryOf(pathOf(file))));
      if (kept.length < files.length) {
        notice(
          `${countOf(files.length - kept.length, "file")} are left out, as they depend on paths and ` +
            `${quote(stuck.from)} or ${quote(stuck.to)} cannot be written into them`,
        );
      }
      return kept;
    },
    rewritten: (path, content) =>
      moves.length === 0 || stuck || !isRelocatable(path) ? content : relocate(content, moves),
  };
}
