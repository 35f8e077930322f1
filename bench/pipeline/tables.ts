/** Every table of this benchmark, in the order in which they are printed. */
import { buffers } from "./buffers.ts";
import { equalFrames } from "./equal_frames.ts";
import { frames } from "./frames.ts";
import { framesHeld } from "./frames_held.ts";
import { levels } from "./levels.ts";
import { limit } from "./limit.ts";
import { limitOfSave } from "./limit_of_save.ts";
import type { Table } from "./table.ts";
import { writers } from "./writers.ts";

export const tableIds = [
  "levels",
  "frames",
  "equal",
  "buffers",
  "writers",
  "held",
  "limit",
  "savelimit",
] as const;

export type TableId = typeof tableIds[number];

export const tables: Readonly<Record<TableId, Table>> = {
  levels,
  frames,
  equal: equalFrames,
  buffers,
  writers,
  held: framesHeld,
  limit,
  savelimit: limitOfSave,
};
