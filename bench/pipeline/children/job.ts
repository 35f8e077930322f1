/** What every process of this directory does: it reads its job, and prints what the work took. */
import process from "node:process";
import type * as v from "valibot";
import { parse } from "valibot";

/** The job that is this process's one argument. @throws {Error} where it is not one of that schema */
export function readJob<Schema extends v.GenericSchema>(
  schema: Schema,
): v.InferOutput<Schema> {
  const [argument = ""] = process.argv.slice(2);
  return parse(schema, JSON.parse(argument));
}

/** Prints, as JSON, the time and CPU (in ms) of this process while `work` runs. */
export async function printCost(work: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  const cost = {
    wallMs: performance.now() - startMs,
    cpuMs: (user + system) / 1000,
  };
  console.log(JSON.stringify(cost));
}
