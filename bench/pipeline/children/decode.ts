/** decode.ts: all frames of a layer are decoded and dropped; see decodeJob. */
import { readIndex } from "../../../lib/archive.ts";
import { decodeAll } from "../decoding.ts";
import { decodeJob } from "../jobs.ts";
import { openStored } from "../stored_layer.ts";
import { printCost, readJob } from "./job.ts";

const { stored, decoding } = readJob(decodeJob);
await using file = await openStored(stored);
const { frames } = await readIndex(file, stored.layer);
const encoded = frames.map(({ offset, bytes, raw_bytes }) => ({
  rawBytes: raw_bytes,
  read: () => file.read(offset, bytes),
}));
await printCost(() => decodeAll(encoded, decoding));
