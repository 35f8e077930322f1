/** What a scenario is: calls of the package's functions, with settings and files as they are at that moment. */

/** A place of its own for each scenario and package. */
export interface Place {
  /** Below /tmp. */
  readonly base: string;
  /** In `base`; not there yet. */
  readonly torchDir: string;
  /** Below /cache, as b10-transfer makes its archives only there and below /app. */
  readonly workDir: string;
  /** The share's directory, below /cache/model, is there; the store's, in it, is not. */
  readonly storeDir: string;
  /** A port on which nobody listens. */
  readonly port: number;
}

/** A function and its arguments. */
export type Call = readonly [name: string, ...args: readonly string[]];

export interface Step {
  /** Makes files, or removes them. */
  readonly prepare?: (place: Place) => void;
  /** Besides those that every scenario has; null unsets. */
  readonly env?: (place: Place) => Readonly<Record<string, string | null>>;
  readonly calls: (place: Place) => readonly Call[];
  /** What is looked at afterwards, for the answer. */
  readonly look?: (place: Place) => unknown;
}

export interface Scenario {
  readonly name: string;
  /** Settings that a package reads when it is imported. */
  readonly isAboutImport?: true;
  readonly steps: readonly Step[];
}

/** What came of a scenario, as one line for each call or look: "load_compile_cache: SUCCESS". */
export type Answer = readonly string[];

/** An intended difference. */
export interface Difference {
  readonly scenario: string;
  readonly peer: Answer;
  readonly ours: Answer;
  readonly why: string;
}
