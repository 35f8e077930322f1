/** Time and chance. */
import { randomBytes } from "node:crypto";
import type { Clock, Random } from "../system.ts";

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
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
};

export const realRandom: Random = {
  hex: (bytes) => randomBytes(bytes).toString("hex"),
  fraction: () => Math.random(),
};
