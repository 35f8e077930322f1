/** A process that stops in the middle, as by SIGSTOP, until somebody wakes it. */
import { FaultyFiles, type FileCall } from "./faulty_files.ts";
import { keyDir } from "./layout.ts";
import type { Ended, Process, Ran, Site } from "./site.ts";
import { runProcess } from "./trials.ts";

export class Sleeper {
  /** Once it has stopped, or ended before it came to that. */
  readonly stopped: Promise<void>;
  readonly #ended: Promise<Ended>;
  #wake: () => void = () => {};

  /** @param isStop the first call that is like that is not made before it is woken. */
  constructor(
    site: Site,
    run: (site: Site, process: Process) => Promise<Ran>,
    isStop: (call: FileCall) => boolean,
  ) {
    const sleep = new Promise<void>((resolve) => this.#wake = resolve);
    let stop: () => void = () => {};
    const stopped = new Promise<void>((resolve) => stop = resolve);
    const meanwhile = async () => {
      stop();
      await sleep;
    };
    this.#ended = runProcess(site, run, new FaultyFiles({ at: isStop, meanwhile }));
    this.stopped = Promise.race([stopped, this.#ended.then(() => {})]);
  }

  /** @returns how it ended. */
  async wake(): Promise<Ended> {
    this.#wake();
    return await this.#ended;
  }
}

/** The call that gives a complete file its name below `dir`. */
export function isNaming(dir: string): (call: FileCall) => boolean {
  return ({ name, args }) =>
    (name === "link" || name === "rename") && String(args[1]).startsWith(`${keyDir}/${dir}/`);
}
