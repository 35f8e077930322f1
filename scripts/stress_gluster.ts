/**
 * stress_gluster.ts [MINUTES] [--savers 12] [--loaders 30] [--pruners 2] [--seed N] [--kill PERCENT]: the stress on a
 * GlusterFS volume of three replicas, one of which is killed when half of the time is over. Needs root and Debian's
 * glusterfs-server and glusterfs-client; takes everything down again.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { makeFastDir } from "./program.ts";
import { GlusterVolume, requireGluster } from "./stress/gluster.ts";
import { stress } from "./stress/hammer.ts";
import { onInterruption } from "./stress/interrupted.ts";
import { readOptions } from "./stress/options.ts";

/** Of all pods' directories and the three replicas together. */
const neededBytes = 2e9;

const killedBrick = 1;

async function play(base: string): Promise<boolean> {
  const options = readOptions(process.argv.slice(2), { savers: 12, loaders: 30, pruners: 2 });
  const volume = new GlusterVolume(path.join(base, "gluster"));
  let killAll = () => {};
  onInterruption(() => {
    killAll();
    volume.down();
  });
  try {
    await volume.up();
    return await stress({
      options,
      base,
      storeDir: path.join(volume.mountDir, "compile_cache"),
      halfway: () => {
        volume.killBrick(killedBrick);
        console.log("         one of three replicas is dead from here on");
      },
      onStart: (kill) => killAll = kill,
    });
  } finally {
    volume.down();
  }
}

let isGood = false;
let base: string | undefined;
try {
  requireGluster();
  base = makeFastDir("b10-stress-gluster", { bytes: neededBytes });
  isGood = await play(base);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
if (base !== undefined) {
  if (isGood) fs.rmSync(base, { recursive: true });
  else console.error(`What was found on the pods is left in ${base}`);
}
process.exitCode = isGood ? 0 : 1;
