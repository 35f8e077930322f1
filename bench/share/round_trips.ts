/** One operation of the program with its share watched. */
import * as v from "valibot";
import type { Contender, Operation } from "../contenders/contender.ts";
import { type Command, runCommand } from "../processes/command.ts";
import type { ShareCall } from "./watched_files.ts";

export interface Trip {
  readonly elapsedMs: number;
  readonly calls: readonly ShareCall[];
}

const callSchema = v.object({
  name: v.string(),
  path: v.string(),
  bytes: v.number(),
});

/** @param contender the watched program. @throws {Error} where it does not do its work */
export async function makeTrip(
  contender: Contender,
  operation: Operation,
  { share, latencyMs }: { share: string; latencyMs: number },
): Promise<Trip> {
  await contender.prepare(operation);
  const finished = await runCommand(
    slowed(contender.command(operation), { share, latencyMs }),
  );
  contender.check?.(finished, "SUCCESS");
  const lines = finished.stderr.split("\n").filter((line) => line.startsWith("{"));
  return {
    elapsedMs: finished.elapsedMs,
    calls: lines.map((line) => v.parse(callSchema, JSON.parse(line))),
  };
}

function slowed(
  { argv, env }: Command,
  { share, latencyMs }: { share: string; latencyMs: number },
): Command {
  return {
    argv,
    env: {
      ...env,
      B10_BENCH_SHARE: share,
      B10_BENCH_LATENCY_MS: String(latencyMs),
    },
  };
}
