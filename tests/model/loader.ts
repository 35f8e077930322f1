/**
 * A loader reads the head and opens each of its layers. A loader in time takes less than a grace, and nothing may
 * vanish under it. A slow one may find things gone, and then has to look at the store afresh.
 */
import { type Base, baseKey, freshLook, type Look, lookKey, lookOn } from "./look.ts";
import { contentsOf, type Items, listOf } from "./names.ts";
import { began, endedLoad, loadToken } from "./store.ts";
import { ended, type Outcome, type Turn } from "./turn.ts";

type Phase =
  | { readonly at: "begin" }
  | { readonly at: "look"; readonly look: Look }
  | { readonly at: "open"; readonly base: Base; readonly opened: number };

export interface Loader {
  readonly kind: "loader" | "slow loader";
  readonly phase: Phase;
  /** What SUCCESS had been reported of before it began. */
  readonly owed: Items;
}

type Next = Outcome<Loader>;

export function newLoader(kind: Loader["kind"]): Loader {
  return { kind, phase: { at: "begin" }, owed: 0 };
}

export function loaderKey({ phase, owed }: Loader): string {
  switch (phase.at) {
    case "begin":
      return phase.at;
    case "look":
      return `look${lookKey(phase.look)}:${owed}`;
    case "open":
      return `open${phase.opened}${baseKey(phase.base)}:${owed}`;
  }
  phase satisfies never;
}

export function stepLoader(turn: Turn, loader: Loader): Next {
  const { phase } = loader;
  switch (phase.at) {
    case "begin": {
      const store = loader.kind === "loader" ? began(turn.store, loadToken(turn.me)) : turn.store;
      return look({ ...turn, store }, { ...loader, owed: store.promised }, freshLook);
    }
    case "look":
      return look(turn, loader, phase.look);
    case "open":
      return open(turn, loader, phase);
  }
  phase satisfies never;
}

function look(turn: Turn, loader: Loader, look: Look): Next {
  const { store } = turn;
  const orBelow = turn.broken.has("a loader looks again");
  const { what, found } = lookOn(store, look, { orBelow });
  const isGone = look.at > 0 && store.slots[look.at] === undefined;
  if (isGone && loader.kind === "loader") return finish(turn, what, vanished);
  if ("look" in found) return { what, store, actor: { ...loader, phase: { at: "look", ...found } } };
  if (found.base.n === 0) return finish(turn, what, nothingToLoad);
  return openOn(turn, loader, { what, base: found.base, opened: 0 });
}

const vanished = "something vanished under a loader that took less than a grace";
const nothingToLoad = "a loader found nothing although there is a head";

function openOn(
  turn: Turn,
  loader: Loader,
  { what, base, opened }: { what: string; base: Base; opened: number },
): Next {
  const { store } = turn;
  const { layers } = base.generation;
  if (opened < layers.length) {
    return { what, store, actor: { ...loader, phase: { at: "open", base, opened } } };
  }
  // What was evicted meanwhile is owed no longer.
  const lacks = loader.owed & store.promised & ~contentsOf(layers, store.run);
  return finish(
    turn,
    `${what}: has loaded ${base.n}`,
    lacks ? "I3: a loader lacks what was saved before it began" : "",
  );
}

function open(turn: Turn, loader: Loader, { base, opened }: { base: Base; opened: number }): Next {
  const { store, broken } = turn;
  const name = base.generation.layers[opened] ?? "";
  if (store.layers.includes(name)) {
    return openOn(turn, loader, { what: `opens ${listOf(name)}`, base, opened: opened + 1 });
  }
  const what = `finds ${listOf(name)} gone`;
  if (loader.kind === "loader") return finish(turn, what, vanished);
  if (!broken.has("a loader looks again")) {
    return { what, store, actor: { ...loader, phase: { at: "look", look: freshLook } } };
  }
  if (base.n === 1) return finish(turn, what, nothingToLoad);
  const below = { at: base.n - 1, listed: base.n - 1 };
  return { what, store, actor: { ...loader, phase: { at: "look", look: below } } };
}

function finish({ store, me }: Turn, what: string, failure: string): Next {
  return { what, store: endedLoad(store, me), actor: failure === "" ? ended : { kind: "ended", failure } };
}
