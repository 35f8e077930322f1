/** What a frame is decoded into. */
import { runChild } from "./children.ts";
import type { Decoding } from "./decoding.ts";
import { measureInTurn } from "./rounds.ts";
import type { Table } from "./table.ts";

const kibibyte = 1024;

const decodings: readonly { label: string; decoding: Decoding }[] = [
  {
    label: "as large as the frame",
    decoding: { kind: "whole", spareBytes: 0, givesBack: false },
  },
  {
    label: "one byte more",
    decoding: { kind: "whole", spareBytes: 1, givesBack: false },
  },
  {
    label: "one byte more, given back",
    decoding: { kind: "whole", spareBytes: 1, givesBack: true },
  },
  ...[256, 1024, 4096].map((pieceKib) => ({
    label: `streamed in pieces of ${pieceKib} KiB`,
    decoding: { kind: "pieces", pieceBytes: pieceKib * kibibyte } as const,
  })),
];

export const buffers: Table = {
  title: "Output buffers: all frames are decoded, two at a time, and dropped",
  trees: ["b"],
  labels: ["buffer"],
  measure: ({ stored }, { rounds }) =>
    measureInTurn(
      decodings.map(({ label, decoding }) => ({
        labels: [label],
        run: () => runChild("decode", { stored, decoding }),
      })),
      { rounds },
    ),
};
