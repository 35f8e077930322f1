/** restore.ts: a layer's files are written below a directory; see restoreJob. */
import { planLayers, readIndex } from "../../../lib/archive.ts";
import { restoreJob } from "../jobs.ts";
import { openStored } from "../stored_layer.ts";
import { restore } from "../writing/restore.ts";
import { printCost, readJob } from "./job.ts";

const { stored, target, framesHeld, writing } = readJob(restoreJob);
await using file = await openStored(stored);
const contents = {
  layer: stored.layer,
  index: await readIndex(file, stored.layer),
};
const files = [...planLayers([contents]).values()];
await printCost(() => restore({ file, contents, framesHeld }, files, { target, writing }));
