/** What an operation on a cache is given: one pod, one key, one set of roots. */
import type { Config } from "./config.ts";
import type { Environment } from "./environment.ts";
import type { CacheKey } from "./key.ts";
import type { Manifest } from "./manifest.ts";
import type { PodState } from "./pod_state.ts";
import type { CacheRoot } from "./roots.ts";
import type { System } from "./system.ts";

export interface Operation {
  readonly system: System;
  readonly config: Config;
  readonly environment: Environment;
  /** What the pod was that the files come from, if that is another one. */
  readonly originalEnvironment?: Manifest["environment"];
  readonly key: CacheKey;
  readonly roots: readonly CacheRoot[];
  /** Once it aborts, the operation stops at the next step that leaves nothing half-done. */
  readonly signal: AbortSignal;
  /** The real path of the store's directory: what this pod has seen there is remembered by it. */
  readonly storeDir: string;
  /** This pod's own state, where it has a place. */
  readonly state: PodState | undefined;
  /** Seconds from the start of a server without a cache until it was ready: kept with the first save. */
  readonly coldStartS?: number;
  /**
   * The content ID of a suspect, without which this pod got ready: if it is the head's, nothing of it is carried on.
   */
  readonly replacedSuspect?: string;
  /** Something that is not as it should be, in a sentence. */
  readonly notice: (text: string) => void;
  /** Something that goes on and may take a while, in a sentence. */
  readonly inform: (text: string) => void;
  /** So many of so many raw bytes are done. */
  readonly progress: (done: number, total: number) => void;
}

export interface Totals {
  /** Files that were restored or saved. */
  readonly files: number;
  /** Their sizes together. */
  readonly bytes: number;
  /** The bytes of all the generation's layers in the store. */
  readonly storedBytes: number;
}

/** What became of an operation that did not fail: a failure is a CacheError. */
export type LoadOutcome = NativeLoadOutcome | ForeignLoadOutcome;

/** Of a load from the store's own generations. */
export type NativeLoadOutcome =
  | {
    readonly status: "SUCCESS";
    readonly generation: number;
    readonly about: Restored;
    readonly totals: Totals;
  }
  | {
    readonly status: "SKIPPED";
    readonly generation: number;
    readonly about: Restored;
    readonly reason: string;
  }
  | { readonly status: "DOES_NOT_EXIST"; readonly reason: string; readonly suspect?: string };

/** What is known of the generation that was restored. */
export interface Restored {
  /** Its content ID. */
  readonly content: string;
  /** Seconds to ready of the start that the cache was first saved from; null where that is not known. */
  readonly coldStartS: number | null;
}

/** Of a load from an archive that another program made. */
export type ForeignLoadOutcome =
  | {
    readonly status: "SUCCESS";
    readonly origin: "b10-transfer";
    /** The name of its file. */
    readonly archive: string;
    readonly totals: Totals;
  }
  | { readonly status: "SKIPPED"; readonly origin: "b10-transfer"; readonly reason: string };

export type SaveOutcome =
  | { readonly status: "SUCCESS"; readonly generation: number; readonly totals: Totals }
  | { readonly status: "SKIPPED"; readonly generation?: number; readonly reason: string };
