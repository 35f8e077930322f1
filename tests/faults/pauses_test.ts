/** A process stops at any of its calls, others go on, and then it wakes: nobody loses anything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Others, type Pause, stopAtEveryCall } from "./pauses.ts";
import {
  added,
  compacting,
  damage,
  first,
  history,
  othersAtWork,
  pruneable,
  publishLayer,
  second,
  third,
  whole,
} from "./scenarios.ts";
import { dayMs, type Site } from "./site.ts";
import { isNaming, Sleeper } from "./sleeper.ts";
import { tell } from "./tell.ts";
import { type Files, plant } from "./trees.ts";
import { describe } from "./trials.ts";

const timeout = 300_000;

const pruneAll = { keepLast: 2 };

/** Another pod saves these, all at once. */
function saving(files: Files): (site: Site) => Others {
  return (site) => ({
    meanwhile: async () => {
      const dir = site.aside();
      await plant(site.disk.files, dir, files);
      await site.save(site.process(), dir);
    },
  });
}

/** Time passes beyond every timeout and grace, and prunes remove whatever they may. */
async function pruneThoroughly(site: Site): Promise<void> {
  for (let run = 0; run < 3; run++) {
    site.disk.nowMs += 2 * dayMs;
    await site.prune(site.process(), pruneAll);
  }
}

/** A saver may have been given more time than any pruner counts on. */
const patient = { saveTimeoutS: 30 * dayMs / 1000 };

const savesAdded: Pick<Pause, "run" | "adds"> = {
  run: (site, process) => site.save(process, "/saver", { config: patient }),
  adds: added,
};

/** A history whose compacted layer is damaged, and a prune has marked what it was made of, a while ago. */
async function damagedAndMarked(site: Site): Promise<void> {
  await history(site, [first, second, third], compacting);
  await history(site, [{ "e/fourth": "fourth" }]);
  await damage(site, 4);
  await site.prune(site.process(), pruneAll);
  site.disk.nowMs += 2 * dayMs;
}

const everything = { ...whole, ...third };
const both = ["link", "rename"] as const;
const linkOnly = ["link"] as const;

const pauses: readonly Pause[] = [
  {
    name: "a save is stopped while another pod saves",
    ways: both,
    arrange: async (site) => {
      await history(site, [first, second]);
      await othersAtWork(site);
      await plant(site.disk.files, "/saver", added);
    },
    ...savesAdded,
    others: saving(third),
    kept: everything,
  },
  {
    name: "a save is stopped past every timeout while others prune",
    ways: both,
    arrange: async (site) => {
      await pruneable(site);
      await plant(site.disk.files, "/saver", { "f/fifth": "fifth" });
    },
    run: savesAdded.run,
    adds: { "f/fifth": "fifth" },
    others: (site) => ({ meanwhile: () => pruneThoroughly(site) }),
    kept: { ...everything, ...added },
  },
  {
    name: "a saver that was taken for dead wakes up while another one packs",
    ways: linkOnly,
    arrange: async (site) => {
      await history(site, [first, second]);
      await plant(site.disk.files, "/saver", added);
      await plant(site.disk.files, "/other", third);
    },
    ...savesAdded,
    others: (site) => {
      let other: Sleeper | undefined;
      return {
        meanwhile: async () => {
          other = new Sleeper(site, (at, process) => at.save(process, "/other"), isNaming("layers"));
          await other.stopped;
        },
        afterwards: async () => void await other?.wake(),
      };
    },
    kept: everything,
  },
  {
    name: "a load is stopped while the history moves on and is pruned",
    ways: both,
    arrange: async (site) => {
      await history(site, [first, second, third], compacting);
      await plant(site.disk.files, "/target", {});
    },
    run: (site, process) => site.load(process, "/target"),
    others: (site) => ({
      meanwhile: async () => {
        await saving(added)(site).meanwhile();
        await pruneThoroughly(site);
      },
    }),
    kept: { ...everything, ...added },
    adds: {},
    target: "/target",
  },
  {
    name: "a prune is stopped while another one acts on the same marks",
    ways: both,
    arrange: async (site) => {
      await pruneable(site);
      await site.prune(site.process(), pruneAll);
      site.disk.nowMs += 2 * dayMs;
    },
    run: (site, process) => site.prune(process, pruneAll),
    others: (site) => ({ meanwhile: async () => void await site.prune(site.process(), pruneAll) }),
    kept: { ...everything, ...added },
    adds: {},
  },
  {
    name: "a prune is stopped while a pod saves",
    ways: linkOnly,
    arrange: async (site) => {
      await pruneable(site);
      await site.prune(site.process(), pruneAll);
      site.disk.nowMs += 2 * dayMs;
    },
    run: (site, process) => site.prune(process, pruneAll),
    others: saving({ "f/fifth": "fifth" }),
    kept: { ...everything, ...added },
    adds: {},
    known: { "f/fifth": "fifth" },
  },
  {
    name: "a prune is stopped while a save heals the cache with what the prune is about to remove",
    ways: both,
    arrange: damagedAndMarked,
    run: (site, process) => site.prune(process, pruneAll),
    others: saving(added),
    kept: {},
    adds: {},
    known: { ...everything, ...added, "e/fourth": "fourth" },
  },
  {
    name: "a save that heals the cache is stopped while a prune removes what it was about to name",
    ways: both,
    arrange: async (site) => {
      await damagedAndMarked(site);
      await plant(site.disk.files, "/saver", added);
    },
    ...savesAdded,
    others: (site) => ({ meanwhile: async () => void await site.prune(site.process(), pruneAll) }),
    kept: {},
    known: { ...everything, "e/fourth": "fourth" },
  },
  {
    name: "a prune is stopped while a saver wakes up that was about to commit when its layer was marked",
    ways: both,
    arrange: async (site) => {
      await history(site, [first, second]);
      await publishLayer(site, "never committed");
      await plant(site.disk.files, "/saver", added);
    },
    run: (site, process) => site.prune(process, pruneAll),
    others: async (site) => {
      const saver = new Sleeper(site, savesAdded.run, isNaming("generations"));
      await saver.stopped;
      await site.prune(site.process(), pruneAll);
      site.disk.nowMs += 2 * dayMs;
      return {
        meanwhile: async () => {
          const ended = await saver.wake();
          assert.ok(ended.kind === "ran" && ended.outcome.startsWith("SUCCESS"), describe(ended));
        },
      };
    },
    kept: { ...whole, ...added },
    adds: {},
  },
  {
    name: "a save is stopped while it compacts, past every timeout, while others prune",
    ways: linkOnly,
    arrange: async (site) => {
      await history(site, [first, second]);
      await plant(site.disk.files, "/saver", third);
    },
    run: (site, process) => site.save(process, "/saver", { config: { ...compacting.config, ...patient } }),
    others: (site) => ({ meanwhile: () => pruneThoroughly(site) }),
    kept: whole,
    adds: third,
  },
  {
    name: "a prune that evicts is stopped while a pod saves",
    ways: both,
    arrange: async (site) => {
      await history(site, [first, second]);
      site.disk.nowMs += 3 * dayMs;
    },
    run: (site, process) => site.prune(process, { maxAgeMs: dayMs }),
    others: saving(added),
    kept: added,
    adds: {},
    known: whole,
  },
];

for (const pause of pauses) {
  for (const way of pause.ways) {
    test(`${pause.name}, committing by ${way}: nobody loses anything`, { timeout }, async (context) => {
      const count = await stopAtEveryCall(pause, way);
      await tell(context, `faults: ${pause.name}, ${way}: stopped at ${count} calls`);
    });
  }
}
