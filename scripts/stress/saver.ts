/** A pod that saves what it compiles, again and again, and now and then compiles more. */
import { newPod, operate } from "./operate.ts";
import { pause } from "./pause.ts";
import { Seeded } from "./seeded.ts";
import { hastySettings } from "./settings.ts";
import { rewriteRestored, writeFirstFiles, writeMoreFiles } from "./tree.ts";
import type { World } from "./world.ts";

/** How often it compiles something new: loads write all of it. */
const roundsPerMinute = 3;
const [fewestRounds, mostRounds] = [4, 12];

/** A part of the time is over before the last saver has begun. */
const arrivalShare = 0.3;

const longestPauseMs = 6_000;

const loadFirstPercent = 30;
const rewritePercent = 10;
const hastyPercent = 30;

/** Whoever has something to commit meets its fate so many times as often. */
const riskOfNews = 2;

export async function saver(world: World, number: number): Promise<void> {
  const { over, durationMs, seed } = world;
  const name = `saver-${number}`;
  const random = new Seeded(seed, name);
  const pod = newPod(world, { name, number, settings: random.chance(hastyPercent) ? hastySettings : {} });
  await pause(random.between(0, durationMs * arrivalShare), over);
  if (random.chance(loadFirstPercent)) await operate(world, pod, { operation: "load", random });
  writeFirstFiles(pod, random);
  const rounds = Math.min(Math.max(roundsPerMinute * durationMs / 60_000, fewestRounds), mostRounds);
  const roundMs = durationMs / rounds;
  let [round, nextRoundMs, hasNews] = [1, performance.now() + random.between(0, roundMs), true];
  while (!over.aborted) {
    await operate(world, pod, { operation: "save", random, risk: hasNews ? riskOfNews : 1 });
    hasNews = false;
    if (performance.now() > nextRoundMs && round <= rounds) {
      writeMoreFiles(pod, random, `round-${round++}`);
      nextRoundMs = performance.now() + roundMs;
      hasNews = true;
    }
    if (random.chance(rewritePercent)) rewriteRestored(pod, random);
    await pause(random.between(0, longestPauseMs), over);
  }
}
