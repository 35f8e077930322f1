/**
 * Commit, compaction, healing, eviction, prune and load as one machine: any number of actors on one store, any of which
 * may go on, stop for as long as it likes, or crash between any two accesses.
 */
import { type Committer, committerKey, newCommitter, stepCommitter } from "./committer.ts";
import type { Machine, Step } from "./explore.ts";
import { brokenInvariant } from "./invariants.ts";
import { type Loader, loaderKey, newLoader, stepLoader } from "./loader.ts";
import type { Names } from "./names.ts";
import { firstRun, type Pruner, prunerKey, secondRun, stepPruner } from "./pruner.ts";
import type { Broken, Rule } from "./rules.ts";
import { aged, endedLoad, newStore, type Store } from "./store.ts";
import { type Ended, ended, type Outcome, type Turn } from "./turn.ts";

export type Role =
  | "saver"
  | "saver of two"
  | "saver of three"
  | "compactor"
  | "healer"
  | "evictor"
  | "pruner"
  /** One that does not mark. */
  | "second run"
  /** Takes less than a grace. Without one, time plays no part: whatever may age is old at once. */
  | "loader"
  | "slow loader";

export interface Setup {
  /** Savers come first. */
  readonly roles: readonly Role[];
  /** The layers of the generations 1, 2, … at the beginning. */
  readonly history: readonly Names[];
  /** What a compacted layer in it stands for. */
  readonly run?: Names;
  readonly broken?: readonly Rule[];
}

type Actor = Committer | Pruner | Loader | Ended;

export interface State {
  readonly store: Store;
  readonly actors: readonly Actor[];
}

interface World {
  readonly labels: readonly string[];
  readonly broken: Broken;
}

export function protocol(
  { roles, history, run = "", broken = [] }: Setup,
): Machine<State> {
  const actors = roles.map(newActor);
  const world: World = { labels: labelsOf(actors), broken: new Set(broken) };
  const store = newStore(history, {
    run,
    isDamaged: roles.includes("healer"),
    actors: roles.length,
    isTimed: roles.includes("loader"),
  });
  return {
    initial: { store, actors },
    keyOf,
    stepsFrom: (state) => stepsFrom(world, state),
    problemOf,
  };
}

/** What kind of actor each is, numbered among its like. */
function labelsOf(actors: readonly Actor[]): string[] {
  return actors.map(({ kind }, at) => {
    const before = actors.slice(0, at).filter((other) => other.kind === kind).length;
    return `${kind} ${before + 1}`;
  });
}

function newActor(role: Role): Actor {
  switch (role) {
    case "saver":
    case "compactor":
    case "healer":
    case "evictor":
      return newCommitter(role);
    case "saver of two":
      return newCommitter("saver", { items: 2 });
    case "saver of three":
      return newCommitter("saver", { items: 3 });
    case "pruner":
      return firstRun;
    case "second run":
      return secondRun;
    case "loader":
    case "slow loader":
      return newLoader(role);
  }
  role satisfies never;
}

function stepsFrom({ labels, broken }: World, { store, actors }: State): Step<State>[] {
  const steps: Step<State>[] = [];
  for (const [me, actor] of actors.entries()) {
    if (actor.kind === "ended") continue;
    const add = (outcome: Outcome<Actor>) => {
      const what = `${labels[me]} ${outcome.what}`;
      steps.push({ what, state: tidied({ store: outcome.store, actors: actors.with(me, outcome.actor) }) });
    };
    const outcome = stepActor({ store, broken, me }, actor);
    if (outcome) add(outcome);
    add({ what: "crashes", store: endedLoad(store, me), actor: ended });
  }
  const older = aged(store);
  if (older) steps.push({ what: "a grace passes", state: { store: older, actors } });
  return steps;
}

function stepActor(turn: Turn, actor: Actor): Outcome<Actor> | undefined {
  switch (actor.kind) {
    case "ended":
      return undefined;
    case "saver":
    case "compactor":
    case "healer":
    case "evictor":
      return stepCommitter(turn, actor);
    case "pruner":
      return stepPruner(turn, actor);
    case "loader":
    case "slow loader":
      return stepLoader(turn, actor);
  }
  actor satisfies never;
}

/** States that differ only in what nobody will ask for are one. */
function tidied(state: State): State {
  const { store, actors } = state;
  if (actors.some(({ kind }) => kind === "pruner")) return state;
  return { actors, store: { ...store, marks: [], recent: store.recent === undefined ? undefined : "" } };
}

function problemOf({ store, actors }: State): string | undefined {
  for (const actor of actors) if (actor.kind === "ended" && actor.failure !== undefined) return actor.failure;
  return brokenInvariant(store);
}

function keyOf({ store, actors }: State): string {
  let key = storeKey(store);
  for (const actor of actors) key += `|${actorKey(actor)}`;
  return key;
}

function storeKey({ layers, recent = "", run, newest, evicted, promised, slots, marks }: Store): string {
  let key = `${layers},${recent},${run},${newest}${evicted}${promised}`;
  for (const slot of slots) {
    if (slot === undefined) key += "-";
    else if (slot === "torn") key += "!";
    else key += `(${slot.layers}/${slot.condemned})`;
  }
  return `${key}${marks.join()}`;
}

function actorKey(actor: Actor): string {
  switch (actor.kind) {
    case "ended":
      return actor.failure ?? "";
    case "saver":
    case "compactor":
    case "healer":
    case "evictor":
      return committerKey(actor);
    case "pruner":
      return prunerKey(actor);
    case "loader":
    case "slow loader":
      return loaderKey(actor);
  }
  actor satisfies never;
}
