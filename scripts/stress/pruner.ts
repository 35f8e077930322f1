/** A pod that prunes, and now and then verifies. */
import { newPod, operate } from "./operate.ts";
import { pause } from "./pause.ts";
import { Seeded } from "./seeded.ts";
import type { World } from "./world.ts";

const longestPauseMs = 3_000;
const verifyPercent = 15;

export async function pruner(world: World, number: number): Promise<void> {
  const name = `pruner-${number}`;
  const random = new Seeded(world.seed, name);
  const pod = newPod(world, { name, number });
  while (!world.over.aborted) {
    await pause(random.between(0, longestPauseMs), world.over);
    await operate(world, pod, { operation: random.chance(verifyPercent) ? "verify" : "prune", random });
  }
}
