/** Open layers become files again, each with its digest verified: what is packed anew from them is what was saved. */
import { type PlannedFile, type SourceFile, unpackFrames } from "./archive.ts";
import type { OpenLayers } from "./layers.ts";
import { requireDigest } from "./verify_layer.ts";

/**
 * Every path once, with the file of the last layer that has it.
 * @throws {CacheError} `bad_layer` at the first file that is not what its index says.
 */
export async function* readBack(opened: OpenLayers, signal: AbortSignal): AsyncGenerator<SourceFile> {
  for (const contents of opened.contents) {
    const { name } = contents.layer;
    const files = [...opened.plan.values()].filter((planned) => planned.layer === name);
    for await (const frame of unpackFrames({ file: opened.file(name), contents }, files)) {
      for (const { planned, content } of frame.files) {
        signal.throwIfAborted();
        requireDigest(planned, content);
        yield sourceFile(planned, content);
      }
      frame.release();
    }
  }
}

function sourceFile(planned: PlannedFile, content: Uint8Array): SourceFile {
  const { path, mode, mtime, replacements } = planned;
  return {
    path,
    content,
    mode,
    mtimeNs: BigInt(mtime),
    ...(replacements === undefined ? {} : { replacements }),
  };
}
