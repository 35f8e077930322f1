/** Real processes of the program, so many at once, each with its fate. */
import * as path from "node:path";
import type { Finished } from "../process.ts";
import { type Result, resultOf, runProgram } from "../program.ts";
import { awaitMoment, type Fate, type Operation, sendSignal, sleepsPastGrace } from "./fate.ts";
import { pause } from "./pause.ts";
import type { Pod } from "./pod.ts";
import type { Seeded } from "./seeded.ts";
import { patientSettings } from "./settings.ts";
import { Slots } from "./slots.ts";

/** How many processes of each kind run at once: the machine may have two cores. */
export const atOnce = { save: 7, load: 6, maintenance: 2 };

/** Nothing that is awake takes a tenth of this: it ends what hangs. */
const hangsAfterMs = 180 * 1000;

/** What a process is expected to take before one of its kind was seen. */
const firstGuessMs = 200;

export interface Work {
  readonly pod: Pod;
  readonly operation: Operation;
  readonly options?: readonly string[];
  readonly fate?: Fate;
  readonly settings?: Readonly<Record<string, string>>;
}

/** A process that has ended. */
export interface Ran {
  readonly pod: string;
  readonly operation: Operation;
  /** What the journal of its cache showed when it was started: it may not find less. */
  readonly newestBefore: number;
  /** What it met with while it ran. */
  readonly met: "nothing" | "killed" | "stopped" | "stopped past the grace";
  /** undefined where it printed none. */
  readonly result: Result | undefined;
  readonly finished: Finished;
}

export class Runner {
  readonly ran: Ran[] = [];
  readonly #storeDir: string;
  /** Aborts when whoever is stopped is to go on. */
  readonly #over: AbortSignal;
  readonly #slots: Readonly<Record<Operation, Slots>>;
  readonly #usualMs = new Map<Operation, number>();
  readonly #live = new Set<number>();

  constructor({ storeDir, over }: { storeDir: string; over: AbortSignal }) {
    this.#storeDir = storeDir;
    this.#over = over;
    const maintenance = new Slots(atOnce.maintenance);
    this.#slots = {
      save: new Slots(atOnce.save),
      load: new Slots(atOnce.load),
      prune: maintenance,
      verify: maintenance,
    };
  }

  /** Waits for a place, and runs it to its end. */
  async run(work: Work): Promise<Ran> {
    await this.#slots[work.operation].take();
    return await this.#run(work);
  }

  /** As `run`. @returns undefined where everybody was to stop before there was a place. */
  async runInTime(work: Work): Promise<Ran | undefined> {
    await this.#slots[work.operation].take();
    if (!this.#over.aborted) return await this.#run(work);
    this.#slots[work.operation].free();
    return undefined;
  }

  async #run(work: Work): Promise<Ran> {
    const { pod, operation, options = [], fate = { kind: "spared" }, settings = {} } = work;
    const ended = new AbortController();
    const newestBefore = pod.cache.journal.newest;
    let meeting: Promise<boolean> = Promise.resolve(false);
    let started: number | undefined;
    const finished = await runProgram([operation, ...options], {
      settings: { ...pod.settings, ...settings },
      timeoutMs: hangsAfterMs + (fate.kind === "stopped" ? fate.forMs : 0),
      onStart: (pid) => {
        started = pid;
        this.#live.add(pid);
        meeting = this.#meet(work, fate, { pid, ended: ended.signal });
      },
    });
    ended.abort();
    if (started !== undefined) this.#live.delete(started);
    const isMet = await meeting;
    this.#slots[operation].free();
    if (!isMet) this.#learn(operation, finished.elapsedMs);
    const met = isMet ? nameOf(fate) : "nothing";
    const ran: Ran = { pod: pod.name, operation, newestBefore, met, result: resultOf(finished), finished };
    this.ran.push(ran);
    return ran;
  }

  /** For a stress that is itself ended early. */
  killAll(): void {
    for (const pid of this.#live) sendSignal(pid, "SIGKILL");
  }

  /** @returns whether the process lived to meet it. */
  async #meet(
    { pod, operation }: Work,
    fate: Fate,
    { pid, ended }: { pid: number; ended: AbortSignal },
  ): Promise<boolean> {
    if (fate.kind === "spared") return false;
    const cacheDir = path.join(this.#storeDir, "native", pod.cache.key);
    const usualMs = this.#usualMs.get(operation) ?? firstGuessMs;
    await awaitMoment(fate.moment, { pid, usualMs, cacheDir, ended });
    if (ended.aborted) return false;
    if (fate.kind === "killed") return sendSignal(pid, "SIGKILL");
    if (!sendSignal(pid, "SIGSTOP")) return false;
    // Whoever sleeps takes nobody's place.
    this.#slots[operation].free();
    await pause(fate.forMs, this.#over);
    await this.#slots[operation].take();
    return sendSignal(pid, "SIGCONT");
  }

  #learn(operation: Operation, elapsedMs: number): void {
    const usualMs = this.#usualMs.get(operation) ?? elapsedMs;
    this.#usualMs.set(operation, usualMs * 0.9 + elapsedMs * 0.1);
  }
}

function nameOf(fate: Fate): Ran["met"] {
  if (fate.kind === "spared") return "nothing";
  return sleepsPastGrace(fate) ? "stopped past the grace" : fate.kind;
}

/** Longer deadlines for some of those that sleep long, so that they go on where they were. */
export function settingsFor(fate: Fate, random: Seeded): Readonly<Record<string, string>> {
  return sleepsPastGrace(fate) && random.chance(60) ? patientSettings : {};
}
