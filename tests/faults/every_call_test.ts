/** Every call that a command makes goes wrong once, in every way, and I1 to I6 hold: examiner.ts says what they are. */
import { test } from "node:test";
import {
  crash,
  earlyEnd,
  failing,
  lostAnswer,
  lostFlush,
  negativeAnswer,
  shareGone,
  shortRead,
  staleHandle,
  torn,
  tornCrash,
} from "./faults.ts";
import { loads, prunes, saves } from "./scenarios.ts";
import { tell } from "./tell.ts";
import { Trials } from "./trials.ts";

const crashes = [crash, tornCrash];

/** What a call can come to on either kind of store. */
const failures = [failing("EIO"), torn, lostAnswer, shortRead, earlyEnd, shareGone];

/** Told apart by their names alone, if at all: one kind of store is as good as the other. */
const otherErrnos = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE"].map(failing);

/** Longer than any of these takes on a busy machine. */
const timeout = 300_000;

for (const scenario of [...loads, ...saves, ...prunes]) {
  for (const way of ["link", "rename"] as const) {
    test(
      `${scenario.name}, committing by ${way}: I1 to I6 hold whichever call goes wrong`,
      { timeout },
      async (context) => {
        const trials = await Trials.prepare(scenario, way);
        let crashed = 0;
        let failed = 0;
        for (const fault of crashes) crashed += await trials.atEveryCall(fault);
        const onEither = [...failures, lostFlush(trials.site.disk)];
        for (const fault of way === "link" ? [...onEither, ...otherErrnos] : onEither) {
          failed += await trials.atEveryCall(fault);
        }
        for (const fault of [staleHandle, negativeAnswer]) {
          failed += await trials.atEveryCall(fault, { hasOldView: true });
        }
        await tell(
          context,
          `faults: ${scenario.name}, ${way}: ${trials.calls.length} calls, ${crashed} crash points, ` +
            `${failed} errors; ${trials.states} different states left`,
        );
      },
    );
  }
}
