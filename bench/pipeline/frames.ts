/** What the order of files, the size of frames and long-distance matching do to the stored size. */
import { runChild } from "./children.ts";
import { asStored } from "./compression.ts";
import { measureOnce, type Variant } from "./rounds.ts";
import { orderNames } from "./stream.ts";
import type { Table } from "./table.ts";

const mebibyte = 1024 * 1024;
const framesMib = [4, 16, 32];

export const frames: Table = {
  title: `Order and frames: zstd level ${asStored.level}`,
  trees: ["a"],
  labels: ["order", "frame", "long-distance matching"],
  measure: ({ places: { tree } }) =>
    measureOnce(
      orderNames.flatMap((order) =>
        framesMib.flatMap((frameMib) =>
          [false, true].map((longDistance): Variant => ({
            labels: [order, `${frameMib} MiB`, longDistance ? "on" : "off"],
            run: () => {
              const job = {
                ...asStored,
                tree,
                order,
                frameBytes: frameMib * mebibyte,
                longDistance,
              };
              const { storedBytes = NaN } = runChild("compress", job);
              return { storedBytes };
            },
          }))
        )
      ),
    ),
};
