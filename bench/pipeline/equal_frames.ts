/** Whether a small cache is better cut into equal frames, so that no thread waits for the one with the large frame. */
import { asStored, compress } from "./compression.ts";
import { decodeAll, type EncodedFrame } from "./decoding.ts";
import { measureInTurn, type Variant } from "./rounds.ts";
import { equalFrameBytes, framesOf } from "./stream.ts";
import type { Table } from "./table.ts";

const counts = [2, 3, 4, 6];

export const equalFrames: Table = {
  title: "Frames of equal size: by extension; the time is that of decoding all, two at a time",
  trees: ["a"],
  labels: ["frames"],
  measure: ({ places: { tree } }, { rounds }) => {
    const cuts = [
      { label: "of 32 MiB", frameBytes: asStored.frameBytes },
      ...counts.map((count) => ({
        label: `${count} equal`,
        frameBytes: equalFrameBytes(tree, count),
      })),
    ];
    const variants = cuts.map(({ label, frameBytes }) => variantOf(label, encode(tree, frameBytes)));
    return measureInTurn(variants, { rounds });
  },
};

interface InMemory extends EncodedFrame {
  readonly bytes: number;
}

function encode(tree: string, frameBytes: number): InMemory[] {
  return framesOf(tree, { order: "by extension", frameBytes }).map((frame) => {
    const encoded = compress(frame, { ...asStored, frameBytes });
    return {
      bytes: encoded.length,
      rawBytes: frame.length,
      read: () => Promise.resolve(new Uint8Array(encoded)),
    };
  }).toArray();
}

function variantOf(label: string, frames: readonly InMemory[]): Variant {
  return {
    labels: [label],
    run: async () => {
      const startMs = performance.now();
      await decodeAll(frames, {
        kind: "whole",
        spareBytes: 1,
        givesBack: true,
      });
      const wallMs = performance.now() - startMs;
      return {
        storedBytes: frames.reduce((sum, { bytes }) => sum + bytes, 0),
        wallMs,
      };
    },
  };
}
