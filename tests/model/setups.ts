/** What is searched: few actors at a time, so that every interleaving of theirs can be. */
import type { Setup } from "./protocol.ts";
import type { Rule } from "./rules.ts";

interface Searched extends Setup {
  /** How many there are: a search that visits fewer has lost some. */
  readonly states: number;
}

/**
 * Each saver saves as many things as its role says, a pruner runs once, and all give up at number 10, so that every
 * search ends. Whoever does something over and over again is several actors in a row, which two of a kind include.
 */
export const setups = {
  "three savers": { roles: ["saver", "saver", "saver"], history: ["A"], states: 4704 },
  "two savers and a pruner": { roles: ["saver", "saver", "pruner"], history: ["A"], states: 35045 },
  "two savers, one of them of two things, and a pruner": {
    roles: ["saver of two", "saver", "pruner"],
    history: ["A"],
    states: 168238,
  },
  "a saver and two pruners": { roles: ["saver", "pruner", "pruner"], history: ["A"], states: 70700 },
  "a saver of three things and two pruners": {
    roles: ["saver of three", "pruner", "second run"],
    history: ["A"],
    states: 117728,
  },
  "a compactor and a pruner": { roles: ["compactor", "pruner"], history: ["AB"], states: 271 },
  "a saver, a compactor and a pruner": {
    roles: ["saver", "compactor", "pruner"],
    history: ["A", "AB"],
    states: 35515,
  },
  // P is damaged. It had replaced A and B, which are still there.
  "a saver, a healer and a pruner": {
    roles: ["saver", "healer", "pruner"],
    history: ["AB", "P", "PC"],
    run: "AB",
    states: 31939,
  },
  "a saver of two things, a pruner and a slow loader": {
    roles: ["saver of two", "pruner", "slow loader"],
    history: ["A", "AB"],
    states: 26835,
  },
  "a saver, a compactor, a pruner and a loader": {
    roles: ["saver", "compactor", "pruner", "loader"],
    history: ["A"],
    states: 108585,
  },
  "a saver, an eviction, a pruner and a loader": {
    roles: ["saver", "evictor", "pruner", "loader"],
    history: ["A"],
    states: 125160,
  },
} as const satisfies Record<string, Searched>;

export type SetupName = keyof typeof setups;

/** What goes wrong without a rule. */
export interface Mutation {
  readonly without: Rule;
  readonly setup: SetupName;
  /** The test's name goes on with it. */
  readonly happens: string;
  readonly problem: RegExp;
}

/**
 * Not listed, as nothing breaks without them in this scope: that generations are removed bottom-up, and that a saver's
 * or a pruner's look begins anew where its newest number is gone. Both are for listings that are stale, which they never
 * are here.
 */
export const mutations: readonly Mutation[] = [
  {
    without: "condemn before removing",
    setup: "two savers and a pruner",
    happens: "a layer goes that a saver is about to name",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "heed the condemned list",
    setup: "two savers and a pruner",
    happens: "a saver names what is about to go",
    problem: /^I5: the head names saver1-1, which it condemns/,
  },
  {
    without: "heed the condemned list",
    setup: "a saver, a healer and a pruner",
    happens: "a healer puts back what is about to go",
    problem: /^I5: the head names A, B, which it condemns/,
  },
  {
    without: "carry on the condemned list",
    setup: "two savers and a pruner",
    happens: "the second commit after a prune's names what it removes",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "drop only names that are gone",
    setup: "two savers and a pruner",
    happens: "a saver names what is no longer condemned and not yet gone",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "a saver looks after winning",
    setup: "two savers, one of them of two things, and a pruner",
    happens: "a saver that slept reports SUCCESS of a number that a prune has freed",
    problem: /^I3: the head lacks/,
  },
  {
    without: "a pruner looks after winning",
    setup: "a saver of three things and two pruners",
    happens:
      "a pruner that slept condemns in a number that another prune has freed, and removes what the head names",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "walk from the head",
    setup: "two savers and a pruner",
    happens: "what was named between the walk and the look is condemned",
    problem: /^I5: the head names saver1-1, which it condemns/,
  },
  {
    without: "link",
    setup: "three savers",
    happens: "a half-written number is taken for burned, and what SUCCESS was reported of is lost",
    problem: /^I3: the head lacks/,
  },
  {
    without: "fresh names",
    setup: "a saver and two pruners",
    happens: "a slow pruner removes the layer that was published anew",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "check that the layer exists",
    setup: "two savers and a pruner",
    happens: "a saver that slept through a whole prune names what is gone",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "check that the layer exists",
    setup: "a compactor and a pruner",
    happens: "a compactor that slept through a whole prune names what is gone",
    problem: /^I1, I5: compacted-1 is gone/,
  },
  {
    without: "the exact run",
    setup: "a saver, a compactor and a pruner",
    happens: "a compactor drops what was saved while it packed",
    problem: /^I3: the head lacks/,
  },
  {
    without: "spare the generation before",
    setup: "a saver, a compactor and a pruner",
    happens: "a prune takes the layers of what loads fall back to",
    problem: /^I1, I5: .* is gone/,
  },
  {
    without: "keep every number until two lists are there",
    setup: "a saver and two pruners",
    happens: "a saver that slept becomes the generation before, and its layer is gone",
    problem: /^I1, I5: saver1-1 is gone/,
  },
  {
    without: "remove what was superseded a grace ago",
    setup: "a saver, a compactor, a pruner and a loader",
    happens: "a generation goes between a loader's look and its reading",
    problem: /vanished under a loader/,
  },
  {
    without: "remove what no generation names",
    setup: "a saver, an eviction, a pruner and a loader",
    happens: "a layer goes while a loader reads what was just superseded",
    problem: /vanished under a loader/,
  },
  {
    without: "a loader looks again",
    setup: "a saver of two things, a pruner and a slow loader",
    happens: "a loader that a prune overtook finds nothing although there is a head",
    problem: /found nothing/,
  },
];
