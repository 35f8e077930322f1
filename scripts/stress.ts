/**
 * stress.ts [MINUTES] [--savers 50] [--loaders 200] [--pruners 5] [--seed N] [--kill PERCENT]: real processes hammer
 * one store, some are killed and some sleep; then what docs/protocol.md promises is checked. Exits non-zero on any
 * violation, and leaves the directory where it is.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { makeFastDir } from "./program.ts";
import { stress } from "./stress/hammer.ts";
import { onInterruption } from "./stress/interrupted.ts";
import { readOptions } from "./stress/options.ts";

/** Of all pods' directories together. */
const neededBytes = 3e9;

const options = readOptions(process.argv.slice(2), { savers: 50, loaders: 200, pruners: 5 });
const base = makeFastDir("b10-stress", { bytes: neededBytes });
fs.mkdirSync(path.join(base, "share"));
let isGood = false;
try {
  isGood = await stress({
    options,
    base,
    storeDir: path.join(base, "share", "compile_cache"),
    onStart: onInterruption,
  });
} catch (error) {
  console.error(error);
}
if (isGood) fs.rmSync(base, { recursive: true });
else console.error(`What was found is left in ${base}`);
process.exitCode = isGood ? 0 : 1;
