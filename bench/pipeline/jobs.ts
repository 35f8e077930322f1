/** What the processes in children/ are asked to do: one JSON argument. */
import * as v from "valibot";
import { decodingSchema } from "./decoding.ts";
import { storedLayerSchema } from "./stored_layer.ts";
import { orderNames } from "./stream.ts";

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** The files of `tree`, one after another, become zstd frames of `frameBytes`, which are counted and dropped. */
export const compressJob = v.object({
  tree: v.string(),
  order: v.picklist(orderNames),
  frameBytes: wholeNumber,
  level: wholeNumber,
  longDistance: v.boolean(),
  /** Every 2^n-th place is remembered for long-distance matching; by default the library chooses. */
  hashRateLog: v.optional(wholeNumber),
});

/** All frames of a layer are decoded and dropped. */
export const decodeJob = v.object({
  stored: storedLayerSchema,
  decoding: decodingSchema,
});

/** Who writes the files. */
const writingSchema = v.variant("kind", [
  v.object({ kind: v.literal("synchronous") }),
  /** Files of at least `fromBytes` by the runtime's own threads, the others by synchronous calls. */
  v.object({ kind: v.literal("large_elsewhere"), fromBytes: wholeNumber }),
  /** So, and the others in batches by so many threads besides. */
  v.object({
    kind: v.literal("threads"),
    count: wholeNumber,
    fromBytes: wholeNumber,
  }),
]);

/** A layer's files are written below `target`, an empty directory. */
export const restoreJob = v.object({
  stored: storedLayerSchema,
  target: v.string(),
  framesHeld: wholeNumber,
  writing: writingSchema,
});

export type CompressJob = v.InferInput<typeof compressJob>;
export type DecodeJob = v.InferInput<typeof decodeJob>;
export type RestoreJob = v.InferInput<typeof restoreJob>;
export type Writing = v.InferOutput<typeof writingSchema>;
