/** CPU and memory of one contender, and the proof that what it loads is what it saved. */
import { differences, takeSnapshot } from "../../scripts/snapshot.ts";
import type { Contender, Places } from "../contenders/contender.ts";
import { weigh, type Weighed } from "../processes/usage.ts";
import type { Cost, Costs } from "./results.ts";

// Some rivals keep no times, or whole seconds: times do not count here.
const anyTimeNs = 2n ** 63n;

/** @throws {Error} where what was loaded is not what was saved */
export async function weighContender(
  contender: Contender,
  places: Places,
): Promise<Costs> {
  await contender.prepare("save");
  const save = costOf(weigh(contender.command("save")));
  await contender.prepare("load");
  const load = costOf(weigh(contender.command("load")));
  requireSame(places, contender.name);
  return { name: contender.name, load, save };
}

function requireSame({ tree, target }: Places, name: string): void {
  const [first] = differences(
    takeSnapshot(tree, anyTimeNs),
    takeSnapshot(target, anyTimeNs),
  );
  if (first) {
    throw new Error(`What ${name} loaded is not what it saved: ${first}`);
  }
}

function costOf({ cpuMs, maxRssBytes }: Weighed): Cost {
  return { cpuMs, maxRssBytes };
}
