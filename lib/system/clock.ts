/** Time and chance. */
import type { Clock, Random } from "../system.ts";

/** A longer timer ends at once on both runtimes: almost 25 days are as good as for ever. */
export const longestTimerMs = 2 ** 31 - 1;

export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, Math.min(ms, longestTimerMs));
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  every: (ms, act, signal) => {
    if (signal.aborted) return;
    const timer = setInterval(act, Math.min(ms, longestTimerMs));
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  },
};

export const realRandom: Random = {
  hex: (bytes) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex"),
  fraction: () => Math.random(),
};
