/** Waiting for what other processes do. */

const pollMs = 2;
const patienceMs = 60 * 1000;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** @throws {Error} where it takes more than a minute */
export async function waitFor(isTrue: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  while (!isTrue()) {
    if (performance.now() > untilMs) throw new Error(`Waited ${patienceMs / 1000} s in vain for ${what}`);
    await pause(pollMs);
  }
}
