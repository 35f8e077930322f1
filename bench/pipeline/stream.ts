/** A tree's files one after another, as in a tar stream without its headers, cut into frames. */
import * as fs from "node:fs";
import * as path from "node:path";
import { namesBelow } from "../trees/files.ts";

const blockBytes = 512;

export const orderNames = ["by path", "by extension"] as const;

export type OrderName = typeof orderNames[number];

const orders: Readonly<Record<OrderName, (file: string) => string>> = {
  "by path": (file) => file,
  "by extension": (file) => `${path.extname(file)}\0${file}`,
};

/** The names of the files below `dir`. */
export function namesInOrder(dir: string, order: OrderName): string[] {
  const keyed = namesBelow(dir).map((name) => ({
    name,
    key: orders[order](name),
  }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ name }) => name);
}

/** The frames of the files below `dir`, all full but the last. Each lies in the same memory: it is gone with the next. */
export function* framesOf(
  dir: string,
  { order, frameBytes }: { order: OrderName; frameBytes: number },
): Generator<Uint8Array> {
  const frame = new Uint8Array(frameBytes);
  let filledBytes = 0;
  for (const name of namesInOrder(dir, order)) {
    for (let rest = blocksOf(path.join(dir, name)); rest.length > 0;) {
      const part = rest.subarray(0, frameBytes - filledBytes);
      frame.set(part, filledBytes);
      filledBytes += part.length;
      rest = rest.subarray(part.length);
      if (filledBytes < frameBytes) continue;
      yield frame;
      filledBytes = 0;
    }
  }
  if (filledBytes > 0) yield frame.subarray(0, filledBytes);
}

/** What all the files take, in whole blocks. */
function streamBytes(dir: string): number {
  return namesBelow(dir).reduce(
    (sum, name) => sum + inBlocks(fs.statSync(path.join(dir, name)).size),
    0,
  );
}

/** The size of each of `count` frames that are equal but for a block. */
export function equalFrameBytes(dir: string, count: number): number {
  return inBlocks(Math.ceil(streamBytes(dir) / count));
}

/** A file's content, padded to whole blocks. */
function blocksOf(file: string): Uint8Array {
  const content = fs.readFileSync(file);
  const blocks = new Uint8Array(inBlocks(content.length));
  blocks.set(content);
  return blocks;
}

function inBlocks(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}
