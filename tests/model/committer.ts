/**
 * Whoever commits layers: a saver; the compactor; a healer, that puts back what a damaged compacted layer had replaced;
 * the policy that evicts. All do the same: look, prepare, put, and look again.
 */
import { type Base, baseKey, freshLook, type Look, lookKey, lookOn } from "./look.ts";
import {
  bitOf,
  compactedName,
  contentsOf,
  type Item,
  listOf,
  type Names,
  savedName,
  union,
  within,
} from "./names.ts";
import { describe, type Generation, maxNumber, putIfAbsent, type Store, withSlot } from "./store.ts";
import { ended, type Outcome, type Turn } from "./turn.ts";

type Phase =
  | { readonly at: "look"; readonly look: Look }
  | { readonly at: "check" | "publish" | "put"; readonly base: Base }
  /** Without links: the file is there, and its content is still to be written. */
  | { readonly at: "write"; readonly base: Base };

export interface Committer {
  readonly kind: "saver" | "compactor" | "healer" | "evictor";
  readonly phase: Phase;
  /** What a saver saves, one after the other. */
  readonly items: number;
  readonly item: number;
  /** What it is about to name: the layer that it published last for this item, or what a healer puts back. */
  readonly mine: Names;
  /** How many layers it has published for this item. */
  readonly attempts: number;
  /** Without the exact run: what the compactor puts, whatever the head is by now. */
  readonly planned: Names;
}

type Next = Outcome<Committer>;

export function newCommitter(kind: Committer["kind"], { items = 1, item = 0 } = {}): Committer {
  return {
    kind,
    phase: { at: "look", look: freshLook },
    items,
    item,
    mine: "",
    attempts: 0,
    planned: "",
  };
}

export function committerKey({ phase, item, mine, attempts, planned }: Committer): string {
  const where = phase.at === "look" ? lookKey(phase.look) : baseKey(phase.base);
  return `${phase.at}${where}:${item}${attempts}${mine}:${planned}`;
}

export function stepCommitter(turn: Turn, committer: Committer): Next {
  const { phase } = committer;
  switch (phase.at) {
    case "look": {
      const { what, found } = lookOn(turn.store, phase.look, { orBelow: false });
      if ("look" in found) {
        return { what, store: turn.store, actor: inPhase(committer, { at: "look", ...found }) };
      }
      return decide(turn, committer, { what, base: found.base });
    }
    case "check":
      return check(turn, committer, phase.base);
    case "publish":
      return publish(turn, committer, phase.base);
    case "put":
      return put(turn, committer, phase.base);
    case "write":
      return write(turn, committer, phase.base);
  }
  phase satisfies never;
}

function inPhase(committer: Committer, phase: Phase): Committer {
  return { ...committer, phase };
}

function lookingAnew(committer: Committer): Committer {
  return inPhase(committer, { at: "look", look: freshLook });
}

/** What a head was found to be. */
interface Head {
  readonly what: string;
  readonly base: Base;
}

function decide(turn: Turn, committer: Committer, head: Head): Next {
  switch (committer.kind) {
    case "saver":
      return decideToSave(turn, committer, head);
    case "compactor":
      return decideToCompact(turn, committer, head);
    case "healer":
      return decideToHeal(turn, committer, head);
    case "evictor": {
      const { what, base } = head;
      const actor = base.generation.layers === "" ? ended : inPhase(committer, { at: "put", base });
      return { what, store: turn.store, actor };
    }
  }
  committer.kind satisfies never;
}

function decideToSave(turn: Turn, committer: Committer, { what, base }: Head): Next {
  const isThere = contentsOf(base.generation.layers, turn.store.run) & bitOf(itemOf(turn, committer));
  if (isThere) return succeed(turn, committer, { what, base });
  return { what, store: turn.store, actor: prepare(turn, committer, base) };
}

function itemOf({ me }: Turn, { item }: Committer): Item {
  return { saver: me, item };
}

/** Reports SUCCESS, which binds unless the cache was evicted since the look. */
function succeed(turn: Turn, committer: Committer, { what, base }: Head): Next {
  const { store } = turn;
  const { items } = committer;
  const item = committer.item + 1;
  const promised = store.promised | (base.n >= store.evicted ? bitOf(itemOf(turn, committer)) : 0);
  return {
    what: `${what}: SUCCESS`,
    store: { ...store, promised },
    actor: item < items ? newCommitter("saver", { items, item }) : ended,
  };
}

function decideToCompact(turn: Turn, committer: Committer, { what, base }: Head): Next {
  const { store, broken } = turn;
  const { layers } = base.generation;
  if (committer.attempts === 0) return beginToCompact(turn, committer, { what, base });
  const isDone = layers.includes(committer.mine);
  const isValid = layers.includes(store.run) || broken.has("the exact run");
  return { what, store, actor: isDone || !isValid ? ended : prepare(turn, committer, base) };
}

/** The run is the first two layers, whichever these are. */
function beginToCompact({ store, broken }: Turn, committer: Committer, { what, base }: Head): Next {
  const { layers } = base.generation;
  if (layers.length < 2) return { what, store, actor: ended };
  const planned = broken.has("the exact run") ? layers : "";
  return {
    what,
    store: { ...store, run: layers.slice(0, 2) },
    actor: inPhase({ ...committer, planned }, { at: "publish", base }),
  };
}

/** The damaged layer is the first of the compacted ones. What it had replaced is put back, unless it is condemned. */
function decideToHeal({ store, broken }: Turn, committer: Committer, { what, base }: Head): Next {
  const { layers, condemned } = base.generation;
  if (!layers.includes(compactedName(0))) return { what, store, actor: ended };
  const isCondemned = within(store.run, condemned) !== "" && !broken.has("heed the condemned list");
  const mine = isCondemned ? "" : store.run;
  const isSure = isCondemned || broken.has("check that the layer exists");
  return { what, store, actor: inPhase({ ...committer, mine }, { at: isSure ? "put" : "check", base }) };
}

/** A layer of this run that may still be named is used; otherwise one is published under a fresh name. */
function prepare({ broken }: Turn, committer: Committer, base: Base): Committer {
  if (committer.mine === "") return inPhase(committer, { at: "publish", base });
  if (base.generation.condemned.includes(committer.mine) && !broken.has("heed the condemned list")) {
    // Whoever has no fresh name can but wait until it is no longer condemned.
    return broken.has("fresh names") ? lookingAnew(committer) : inPhase(committer, { at: "publish", base });
  }
  return inPhase(committer, { at: broken.has("check that the layer exists") ? "put" : "check", base });
}

function check({ store }: Turn, committer: Committer, base: Base): Next {
  const { mine, kind } = committer;
  const isThere = within(mine, store.layers) === mine;
  const what = `finds ${listOf(mine)} ${isThere ? "there" : "absent"}`;
  if (isThere) return { what, store, actor: inPhase(committer, { at: "put", base }) };
  // What is gone can't be put back.
  if (kind === "healer") {
    return { what, store, actor: inPhase({ ...committer, mine: "" }, { at: "put", base }) };
  }
  return { what, store, actor: inPhase(committer, { at: "publish", base }) };
}

function publish(turn: Turn, committer: Committer, base: Base): Next {
  const { store, broken } = turn;
  const attempt = broken.has("fresh names") ? 0 : committer.attempts;
  const mine = committer.kind === "saver"
    ? savedName(itemOf(turn, committer), attempt)
    : compactedName(attempt);
  return {
    what: `publishes ${listOf(mine)}`,
    store: { ...store, layers: union(store.layers, mine) },
    actor: inPhase({ ...committer, mine, attempts: attempt + 1 }, { at: "put", base }),
  };
}

function put(turn: Turn, committer: Committer, base: Base): Next {
  const { store, broken } = turn;
  if (base.next > maxNumber) return { what: "gives up", store, actor: ended };
  if (broken.has("link")) return create(store, committer, base);
  const generation = nextGeneration(turn, committer, base);
  const done = putIfAbsent(store, { n: base.next, generation });
  // Whether it has won or not: a cache that was saved meanwhile is in use.
  if (committer.kind === "evictor") return { what: done.what, store: done.store, actor: ended };
  const isHasty = committer.kind === "saver" && done.hasWon && broken.has("a saver looks after winning");
  if (!isHasty) return { what: done.what, store: done.store, actor: lookingAnew(committer) };
  return succeed({ ...turn, store: done.store }, committer, {
    what: done.what,
    base: { ...base, n: base.next },
  });
}

function nextGeneration({ store, broken }: Turn, committer: Committer, base: Base): Generation {
  const { layers } = base.generation;
  const condemned = broken.has("carry on the condemned list") ? "" : base.generation.condemned;
  switch (committer.kind) {
    case "saver":
      return { layers: layers + committer.mine, condemned };
    case "compactor":
      return { layers: (committer.planned || layers).replace(store.run, committer.mine), condemned };
    case "healer":
      return { layers: layers.replace(compactedName(0), committer.mine), condemned };
    case "evictor":
      return { layers: "", condemned };
  }
  committer.kind satisfies never;
}

/** What O_EXCL does: whoever creates the file has won, and others see it before it is written. */
function create(store: Store, committer: Committer, base: Base): Next {
  const n = base.next;
  if (store.slots[n] !== undefined) return { what: `finds ${n} taken`, store, actor: lookingAnew(committer) };
  return {
    what: `creates ${n}, empty so far`,
    store: withSlot(store, n, "torn"),
    actor: inPhase(committer, { at: "write", base }),
  };
}

function write(turn: Turn, committer: Committer, base: Base): Next {
  const { store } = turn;
  const n = base.next;
  const generation = nextGeneration(turn, committer, base);
  return {
    what: `writes ${n}: ${describe(generation)}`,
    store: store.slots[n] === "torn" ? withSlot(store, n, generation) : store,
    actor: lookingAnew(committer),
  };
}
