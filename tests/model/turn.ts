/** A turn: one actor makes one step, which is one access to the store. */
import type { Broken } from "./rules.ts";
import type { Store } from "./store.ts";

export interface Turn {
  readonly store: Store;
  readonly broken: Broken;
  /** The actor's place among all. */
  readonly me: number;
}

/** It has done its work, has given up or has crashed: no other actor can tell. */
export interface Ended {
  readonly kind: "ended";
  /** What must never happen to an actor. */
  readonly failure?: string;
}

export const ended: Ended = { kind: "ended" };

export interface Outcome<Actor> {
  readonly what: string;
  readonly store: Store;
  readonly actor: Actor | Ended;
}
