/** The rules of the protocol that can be taken out, to see that each is needed. */
export type Rule =
  /** A pruner condemns in a commit what it is about to remove. */
  | "condemn before removing"
  /** A commit names no layer that the head condemns. */
  | "heed the condemned list"
  /** A commit carries on the condemned list of the head. */
  | "carry on the condemned list"
  /** A name leaves the condemned list only once its file is gone. */
  | "drop only names that are gone"
  /** SUCCESS is only what a fresh head shows. */
  | "a saver looks after winning"
  /** A pruner removes only what a fresh head condemns. */
  | "a pruner looks after winning"
  /** A pruner condemns on top of the very generation that it walked down from. */
  | "walk from the head"
  /** A generation appears whole or not at all: link, and no O_EXCL create that is written to afterwards. */
  | "link"
  /** A layer's name is never used twice. */
  | "fresh names"
  /** A commit names no layer that is absent. */
  | "check that the layer exists"
  /** A compaction is valid only while its run of layers is in the head. */
  | "the exact run"
  /** What the second newest list of layers names is kept like what the head names. */
  | "spare the generation before"
  /** As long as all generations name the same layers, none is removed. */
  | "keep every number until two lists are there"
  /** A generation stays for a grace after it was superseded. */
  | "remove what was superseded a grace ago"
  /** A condemned layer stays while any generation names it, be it retained or not. */
  | "remove what no generation names"
  /** A loader that finds something gone looks at the store afresh. */
  | "a loader looks again";

/** The rules that are out. */
export type Broken = ReadonlySet<Rule>;
