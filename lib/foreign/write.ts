/** Writing an archive as b10-transfer does: a tar of a cache directory, its names beginning with "./", in one gzip. */
import type * as zlib from "node:zlib";
import type { SourceFile } from "../archive.ts";
import { endOfTar, paddingAfter, tarHeader } from "../archive/tar.ts";

/** gzip's default, as `tar -z` has it. */
const level = 6;

export interface WrittenArchive {
  readonly bytes: number;
  readonly files: number;
  readonly rawBytes: number;
}

/** @param files their paths are below the directory that is archived. */
export async function writeArchive(
  files: AsyncIterable<SourceFile>,
  append: (bytes: Uint8Array) => Promise<void>,
): Promise<WrittenArchive> {
  const { createGzip } = await import("node:zlib");
  const encoder = createGzip({ level });
  const written = { files: 0, rawBytes: 0 };
  let bytes = 0;
  const feeding = feed(files, encoder, (file) => {
    written.files++;
    written.rawBytes += file.content.length;
  }).catch((error) => void encoder.destroy(error));
  try {
    for await (const piece of encoder) {
      bytes += piece.length;
      await append(piece);
    }
  } finally {
    encoder.destroy();
    await feeding;
  }
  return { bytes, ...written };
}

async function feed(
  files: AsyncIterable<SourceFile>,
  encoder: zlib.Gzip,
  onFile: (file: SourceFile) => void,
): Promise<void> {
  for await (const file of files) {
    const { content } = file;
    await put(encoder, await tarHeader({ ...file, path: `./${file.path}` }, content.length));
    await put(encoder, content);
    await put(encoder, paddingAfter(content.length));
    onFile(file);
  }
  await put(encoder, endOfTar);
  encoder.end();
}

/** Returns once there is room for more, or nobody reads any more. */
function put(encoder: zlib.Gzip, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (encoder.destroyed) return resolve();
    encoder.once("close", resolve);
    encoder.write(bytes, () => {
      encoder.off("close", resolve);
      resolve();
    });
  });
}
