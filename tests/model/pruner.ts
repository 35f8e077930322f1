/**
 * A pruner. Its first run marks what no retained generation names; its second, once the mark is older than a grace,
 * condemns that in a commit, looks at the store afresh, and removes what the head condemns.
 */
import { type Base, baseKey, freshLook, type Look, lookKey, lookOn } from "./look.ts";
import { listOf, type Names, union, within, without } from "./names.ts";
import { retainedOf } from "./retained.ts";
import {
  began,
  generationBelow,
  generationsOf,
  generationToken,
  isRecent,
  markToken,
  maxNumber,
  type Numbered,
  putIfAbsent,
  type Store,
  withoutLayer,
  withSlot,
} from "./store.ts";
import { ended, type Outcome, type Turn } from "./turn.ts";

/** What a look and the walk down from it have shown so far. */
interface View {
  readonly head: Base;
  /** The newest first. */
  readonly seen: readonly Numbered[];
}

/** What is still to be done once the head condemns what goes: from the bottom up, the names last. */
interface Removal {
  /** Of generations, ascending. */
  readonly numbers: readonly number[];
  readonly layers: Names;
  /** What leaves the condemned list, as far as it is gone by then. */
  readonly names: Names;
}

type Phase =
  | { readonly at: "mark" }
  | { readonly at: "look"; readonly look: Look }
  | { readonly at: "walk"; readonly view: View }
  /** Without "walk from the head": looks for a head that is newer than what it has walked. */
  | { readonly at: "second look"; readonly view: View; readonly look: Look }
  | { readonly at: "condemn"; readonly view: View; readonly due: Names }
  | { readonly at: "remove"; readonly removal: Removal }
  | { readonly at: "look for names"; readonly removal: Removal; readonly look: Look }
  | { readonly at: "drop names"; readonly removal: Removal; readonly base: Base; readonly gone: Names };

export interface Pruner {
  readonly kind: "pruner";
  readonly phase: Phase;
}

type Next = Outcome<Pruner>;

export const firstRun: Pruner = { kind: "pruner", phase: { at: "mark" } };

/** For a store in which others mark. */
export const secondRun: Pruner = { kind: "pruner", phase: { at: "look", look: freshLook } };

export function prunerKey({ phase }: Pruner): string {
  switch (phase.at) {
    case "mark":
      return phase.at;
    case "look":
      return `look${lookKey(phase.look)}`;
    case "walk":
      return `walk${viewKey(phase.view)}`;
    case "second look":
      return `second${lookKey(phase.look)}${viewKey(phase.view)}`;
    case "condemn":
      return `condemn${viewKey(phase.view)}:${phase.due}`;
    case "remove":
      return `remove${removalKey(phase.removal)}`;
    case "look for names":
      return `names${lookKey(phase.look)}${removalKey(phase.removal)}`;
    case "drop names":
      return `drop${baseKey(phase.base)}:${phase.gone}:${removalKey(phase.removal)}`;
  }
  phase satisfies never;
}

function viewKey({ head, seen }: View): string {
  let key = baseKey(head);
  for (const { n, generation } of seen) key += `${n}${generation.layers}/${generation.condemned}`;
  return key;
}

function removalKey({ numbers, layers, names }: Removal): string {
  return `${numbers.join("")}:${layers}:${names}`;
}

/** @returns undefined where it waits for its mark to be old enough. */
export function stepPruner(turn: Turn, { phase }: Pruner): Next | undefined {
  const { store } = turn;
  switch (phase.at) {
    case "mark":
      return mark(turn);
    case "look": {
      if (isRecent(store, markToken(turn.me))) return undefined;
      const { what, found } = lookOn(store, phase.look, { orBelow: false });
      if ("look" in found) return to(store, what, { at: "look", ...found });
      const { base } = found;
      return walkOn(turn, what, { head: base, seen: base.n === 0 ? [] : [base] });
    }
    case "walk":
      return walk(turn, phase.view);
    case "second look": {
      const { what, found } = lookOn(store, phase.look, { orBelow: false });
      if ("look" in found) return to(store, what, { ...phase, ...found });
      return judge(turn, what, { ...phase.view, head: found.base });
    }
    case "condemn":
      return condemn(turn, phase);
    case "remove":
      return remove(turn, phase.removal);
    case "look for names": {
      const { what, found } = lookOn(store, phase.look, { orBelow: false });
      if ("look" in found) return to(store, what, { ...phase, ...found });
      return judgeNames(turn, what, { base: found.base, removal: phase.removal });
    }
    case "drop names":
      return dropNames(turn, phase);
  }
  phase satisfies never;
}

function to(store: Store, what: string, phase: Phase): Next {
  return { what, store, actor: { kind: "pruner", phase } };
}

/** One step, as a mark is but a hint: the second run looks at everything again. */
function mark(turn: Turn): Next {
  const { me, store } = turn;
  const marks = store.marks.slice();
  marks[me] = without(store.layers, sparedLayers(turn, generationsOf(store)));
  const what = `marks ${listOf(marks[me]) || "nothing"}`;
  return to({ ...began(store, markToken(me)), marks }, what, { at: "look", look: freshLook });
}

function sparedLayers({ broken }: Turn, seen: readonly Numbered[]): Names {
  if (broken.has("spare the generation before")) return seen[0]?.generation.layers ?? "";
  return retainedOf(seen).layers;
}

/** Reads the next lower generation. Numbers that are absent or burned on the way cost no step. */
function walk(turn: Turn, view: View): Next {
  const next = generationBelow(turn.store, lowestOf(view));
  if (!next) return endWalk(turn, "finds no older one", view);
  return walkOn(turn, `reads ${next.n}`, { ...view, seen: [...view.seen, next] });
}

function walkOn(turn: Turn, what: string, view: View): Next {
  if (generationBelow(turn.store, lowestOf(view))) return to(turn.store, what, { at: "walk", view });
  return endWalk(turn, what, view);
}

function lowestOf({ seen }: View): number {
  return seen.at(-1)?.n ?? 0;
}

function endWalk(turn: Turn, what: string, view: View): Next {
  if (!turn.broken.has("walk from the head")) return judge(turn, what, view);
  return to(turn.store, what, { at: "second look", view, look: freshLook });
}

/** What is due is condemned first, and then looked at afresh; what the head condemns is removed. */
function judge(turn: Turn, what: string, view: View): Next {
  const { store, broken } = turn;
  const { condemned } = view.head.generation;
  const due = without(within(store.layers, oldMarks(store)), sparedLayers(turn, view.seen));
  if (broken.has("condemn before removing")) return goOn(turn, what, planRemoval(turn, view, due));
  if (without(due, condemned) === "") return goOn(turn, what, planRemoval(turn, view, condemned));
  return to(store, what, { at: "condemn", view, due: union(condemned, due) });
}

function oldMarks(store: Store): Names {
  return store.marks.filter((_, actor) => !isRecent(store, markToken(actor))).join("");
}

function condemn(turn: Turn, { view, due }: { view: View; due: Names }): Next {
  const { head } = view;
  if (head.next > maxNumber) return { what: "gives up", store: turn.store, actor: ended };
  const put = { n: head.next, generation: { layers: head.generation.layers, condemned: due } };
  const { what, store, hasWon } = putIfAbsent(turn.store, put);
  const isHasty = hasWon && turn.broken.has("a pruner looks after winning");
  if (!isHasty) return to(store, what, { at: "look", look: freshLook });
  const seen = [put, ...view.seen];
  return judge({ ...turn, store }, what, { head: { ...put, next: put.n + 1 }, seen });
}

function planRemoval(turn: Turn, view: View, condemned: Names): Removal {
  const { store, broken } = turn;
  const numbers = supersededNumbers(turn, view);
  const kept = view.seen.filter(({ n }) => !numbers.includes(n));
  const isHasty = broken.has("remove what no generation names") || broken.has("spare the generation before");
  const needed = isHasty
    ? sparedLayers(turn, kept)
    : kept.map(({ generation }) => generation.layers).join("");
  return { numbers, layers: within(without(condemned, needed), store.layers), names: condemned };
}

/** Below what is retained, ascending, up to the first whose successor is no older than a grace. */
function supersededNumbers({ store, broken }: Turn, { head, seen }: View): number[] {
  const retained = retainedOf(seen);
  const isHasty = !retained.isFull && broken.has("keep every number until two lists are there");
  const floor = isHasty ? head.n : retained.floor;
  const numbers: number[] = [];
  for (let at = seen.length - 1; at > 0; at--) {
    const [successor, old] = [seen[at - 1], seen[at]];
    if (!successor || !old || old.n >= floor) break;
    const isYoung = isRecent(store, generationToken(successor.n));
    if (isYoung && !broken.has("remove what was superseded a grace ago")) break;
    numbers.push(old.n);
  }
  return numbers;
}

/** After a step of the removal, what comes next. */
function goOn({ store, broken }: Turn, what: string, removal: Removal): Next {
  const { numbers, layers, names } = removal;
  const isHasty = broken.has("drop only names that are gone") && names !== "";
  if (numbers.length > 0 || (layers !== "" && !isHasty)) return to(store, what, { at: "remove", removal });
  if (names !== "") return to(store, what, { at: "look for names", look: freshLook, removal });
  return { what, store, actor: ended };
}

function remove(turn: Turn, removal: Removal): Next {
  const [n, ...numbers] = removal.numbers;
  if (n !== undefined) {
    const store = withSlot(turn.store, n, undefined);
    return goOn({ ...turn, store }, `removes ${n}`, { ...removal, numbers });
  }
  const name = removal.layers.charAt(0);
  const store = withoutLayer(turn.store, name);
  const layers = without(removal.layers, name);
  return goOn({ ...turn, store }, `removes ${listOf(name)}`, { ...removal, layers });
}

function judgeNames(turn: Turn, what: string, { base, removal }: { base: Base; removal: Removal }): Next {
  const { store, broken } = turn;
  const mine = within(base.generation.condemned, removal.names);
  const gone = broken.has("drop only names that are gone") ? mine : without(mine, store.layers);
  if (gone === "") return goOn(turn, what, { ...removal, names: "" });
  return to(store, what, { at: "drop names", base, gone, removal });
}

function dropNames(
  turn: Turn,
  { base, gone, removal }: { base: Base; gone: Names; removal: Removal },
): Next {
  if (base.next > maxNumber) return { what: "gives up", store: turn.store, actor: ended };
  const { layers, condemned } = base.generation;
  const put = { n: base.next, generation: { layers, condemned: without(condemned, gone) } };
  const { what, store } = putIfAbsent(turn.store, put);
  return to(store, what, { at: "look for names", look: freshLook, removal });
}
