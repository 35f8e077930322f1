/** Chance that is the same on every machine. Pure. */

/** @returns a function of one argument: a whole number from 0 to below it. The same seed gives the same numbers. */
export function seededChance(seed: number): (below: number) => number {
  let state = seed >>> 0;
  // mulberry32: 32 bits of state, good enough to make contents differ.
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}
