/** Ending a script early: SIGINT and SIGTERM with something to be done first. */
import process from "node:process";

/** @param cleanUp is synchronous: nothing else happens any more. */
export function onInterruption(cleanUp: () => void): void {
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.once(signal, () => {
      cleanUp();
      process.exit(status);
    });
  }
}
