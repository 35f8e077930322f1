/** What a machine sees of the share is old, or told twice: nobody loses anything, and I1 to I6 hold. */
import { test } from "node:test";
import { key } from "../pods.ts";
import { listedBy } from "./faults.ts";
import { added, loads, pruneable, prunes, saves, type Scenario, third, whole } from "./scenarios.ts";
import { dayMs, type Site } from "./site.ts";
import { asListedAt, asListedTwice, withListings, withNamesOf } from "./stale_views.ts";
import { tell } from "./tell.ts";
import { plant } from "./trees.ts";
import { Trials } from "./trials.ts";

const timeout = 300_000;

/** Generations and layers have gone that a machine may still remember. */
async function pruned(site: Site): Promise<void> {
  await pruneable(site);
  await site.prune(site.process(), { keepLast: 2 });
  site.disk.nowMs += 2 * dayMs;
  // Nobody's view is older than a prune's grace.
  site.past.length = 0;
  site.past.push(site.disk.remember());
  await site.prune(site.process(), { keepLast: 2 });
}

const everything = { ...whole, ...third, ...added };

const afterPrunes: readonly Scenario[] = [
  {
    name: "load, after a prune",
    arrange: async (site) => {
      await pruned(site);
      await plant(site.disk.files, "/target", {});
    },
    run: (site, process) => site.load(process, "/target", { hasState: true }),
    outcome: "SUCCESS, generation 7",
    newest: 7,
    before: everything,
    after: everything,
    target: { dir: "/target", before: {} },
  },
  {
    name: "save, after a prune",
    arrange: async (site) => {
      await pruned(site);
      await plant(site.disk.files, "/saver", { "f/fifth": "fifth" });
    },
    saver: "/saver",
    run: (site, process) => site.save(process, "/saver"),
    outcome: "SUCCESS, generation 8",
    newest: 8,
    before: everything,
    after: { ...everything, "f/fifth": "fifth" },
  },
  {
    name: "prune, after a prune",
    arrange: pruned,
    run: (site, process) => site.prune(process, { keepLast: 2 }),
    outcome: `${key}: generations 0, layers 0`,
    newest: 7,
    before: everything,
    after: everything,
    removes: true,
  },
];

/** A name is seen as it is after so many looks at it. */
const lookCounts = [1, 2, 3, 4, 7, 30];

const oldView = { hasOldView: true };

for (const scenario of [...loads, ...saves, ...prunes, ...afterPrunes]) {
  test(`${scenario.name}: I1 to I6 hold where the share is seen as it was`, { timeout }, async (context) => {
    const trials = await Trials.prepare(scenario, "link");
    const { site } = trials;
    let listings = await trials.atEveryCall(listedBy("duplicated listing", asListedTwice(site.disk.files)));
    let views = 1;
    await trials.on("all listings twice", (fs) => withListings(fs, asListedTwice(fs)), {});
    for (const [at, moment] of site.past.entries()) {
      const old = asListedAt(site.disk.files, moment);
      listings += await trials.atEveryCall(listedBy(`listing of moment ${at}`, old), oldView);
      views++;
      await trials.on(`all listings of moment ${at}`, (fs) => withListings(fs, old), oldView);
      for (const looks of lookCounts) {
        const view = { moment, now: site.template, looks };
        views += 2;
        await trials.on(`names of moment ${at}, ${looks} looks`, (fs) => withNamesOf(fs, view), oldView);
        await trials.on(
          `listings and names of moment ${at}, ${looks} looks`,
          (fs) => withNamesOf(withListings(fs, old), view),
          oldView,
        );
      }
    }
    await tell(context, `faults: ${scenario.name}, stale: ${listings} listings, ${views} views`);
  });
}
