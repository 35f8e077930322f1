/** A layer's files are written, by whoever is asked to. */
import { type PlannedFile, unpackLayer } from "../../../lib/archive.ts";
import type { LayerSource } from "../../../lib/archive/unpack.ts";
import type { Writing } from "../jobs.ts";
import { TreeWriter } from "./tree_writer.ts";

/** @param target a directory, which is there and empty. @throws {CacheError} `bad_layer` */
export async function restore(
  source: LayerSource,
  files: readonly PlannedFile[],
  { target, writing }: { target: string; writing: Writing },
): Promise<void> {
  const tree = new TreeWriter(
    target,
    writing.kind === "threads" ? writing.count : 0,
  );
  switch (writing.kind) {
    case "synchronous":
      return await unpackLayer(
        source,
        files,
        (file, content) => tree.write(file, content),
      );
    case "large_elsewhere":
      return await unpackLayer(
        source,
        files,
        (file, content) =>
          content.length >= writing.fromBytes
            ? tree.writeElsewhere(file, content)
            : tree.write(file, content),
      );
    case "threads":
      await unpackLayer(
        source,
        files,
        (file, content) => tree.writeSoon(file, content, writing),
      );
      return await tree.settle();
  }
  writing satisfies never;
}
