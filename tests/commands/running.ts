/** Runs the command `run` in a fake world, to its end. */
import assert from "node:assert/strict";
import { runCommand, type RunFlags } from "../../lib/commands/run.ts";
import { FakeWorld, type WorldOptions } from "./fake_world.ts";
import { nothingKnown } from "../starts.ts";

export const command = ["vllm", "serve", "model"];
export const start = "start vllm serve model";

export const reportFile = "/tmp/report.json";

export interface Outcome {
  readonly world: FakeWorld;
  readonly status: number;
  /** What went to the file that --report names. */
  readonly report: Readonly<Record<string, unknown>>;
}

export interface RunOptions extends WorldOptions {
  readonly command?: readonly string[];
  /** Those of `run` alone. */
  readonly runFlags?: RunFlags;
}

/** Runs `run`, with `meanwhile` beside it, to its end. */
export async function run(
  options: RunOptions,
  meanwhile: (world: FakeWorld) => Promise<void>,
): Promise<Outcome> {
  const world = new FakeWorld(options);
  const flags = { ...options.flags, report: reportFile, ...options.runFlags };
  const ending = runCommand(await world.context(), options.command ?? command, flags);
  await meanwhile(world);
  const status = await world.clock.run(ending);
  assert.deepEqual(world.listensTo, [], "it still listens to signals");
  assert.equal(world.said.stdout, "", "stdout is COMMAND's");
  return { world, status, report: world.readJson(reportFile) };
}

/** COMMAND ends by itself after this long. */
export function after(ms: number, status = 0) {
  return async (world: FakeWorld): Promise<void> => {
    await world.clock.advance(ms);
    world.endCommand(status);
  };
}

/** A start of which nothing is known yet, as it is reported. */
export const unknownStart = { ...nothingKnown, started_at: "2026-01-01T00:00:00.000Z" };

/** Of a proof that nothing at all lay in the caches, and nothing was compiled. */
export const nothingCompiled = { restored_files: 0, restored_bytes: 0, new_files: 0, new_bytes: 0 };

export const well = (operation: string) => ({
  operation,
  status: "SUCCESS",
  elapsed_ms: 84,
  message: "well",
});
