/** Pods that load, one after the other in the same place: new and empty, or with something of their own. */
import { podProblems } from "./check_pod.ts";
import { newPod, operate } from "./operate.ts";
import { pause } from "./pause.ts";
import { type Pod, removePod } from "./pod.ts";
import { Seeded } from "./seeded.ts";
import { writeLocalFiles } from "./tree.ts";
import type { World } from "./world.ts";

const longestPauseMs = 4_000;

/** After a load the pod is replaced. */
const replacePercent = 35;
const halfFilledPercent = 50;

export async function loader(world: World, number: number): Promise<void> {
  const random = new Seeded(world.seed, `loader-${number}`);
  for (let life = 0; !world.over.aborted; life++) {
    const pod = newPod(world, { name: `loader-${number}.${life}`, number });
    if (random.chance(halfFilledPercent)) writeLocalFiles(pod, random);
    await live(world, pod, random);
    // Those of the end are looked at when everyone is done.
    if (!world.over.aborted) retire(world, pod);
  }
}

async function live(world: World, pod: Pod, random: Seeded): Promise<void> {
  do {
    await pause(random.between(0, longestPauseMs), world.over);
    await operate(world, pod, { operation: "load", random });
  } while (!world.over.aborted && !random.chance(replacePercent));
}

function retire({ pods, verdict }: World, pod: Pod): void {
  verdict.failAll("I2", podProblems(pod));
  pods.delete(pod);
  removePod(pod);
}
