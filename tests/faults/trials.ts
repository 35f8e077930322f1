/** Trying faults on a scenario, each on a fresh copy of what it finds. */
import assert from "node:assert/strict";
import type { CommitWay } from "../../lib/store/put.ts";
import type { FileSystem } from "../../lib/system.ts";
import { type Circumstances, Examiner } from "./examiner.ts";
import { type Fault, FaultyFiles, type FileCall } from "./faulty_files.ts";
import type { Scenario } from "./scenarios.ts";
import { type Ended, type Process, type Ran, Site } from "./site.ts";

export class Trials {
  readonly site: Site;
  /** What the command asks of its file systems where nothing goes wrong. */
  readonly calls: readonly FileCall[];
  readonly #scenario: Scenario;
  readonly #examiner: Examiner;

  private constructor(
    scenario: Scenario,
    { site, examiner, calls }: { site: Site; examiner: Examiner; calls: readonly FileCall[] },
  ) {
    this.site = site;
    this.calls = calls;
    this.#scenario = scenario;
    this.#examiner = examiner;
  }

  /** Nothing goes wrong at first. */
  static async prepare(scenario: Scenario, way: CommitWay): Promise<Trials> {
    const site = await Site.make(way);
    await scenario.arrange(site);
    await site.remember();
    const examiner = await Examiner.make(site, scenario);
    site.reset();
    const files = new FaultyFiles();
    const ended = await runProcess(site, scenario.run, files);
    assert.ok(ended.kind === "ran", describe(ended));
    assert.equal(ended.outcome, scenario.outcome);
    assert.equal(await site.newest(), scenario.newest);
    await examiner.examine(ended);
    return new Trials(scenario, { site, examiner, calls: files.calls });
  }

  /** How many different states the trials have left. */
  get states(): number {
    return this.#examiner.states;
  }

  /**
   * Tries the fault at each call that it concerns.
   * @returns how many these are.
   * @throws an AssertionError that names the call.
   */
  async atEveryCall(fault: Fault, circumstances: Circumstances = {}): Promise<number> {
    let count = 0;
    for (const [before, call] of this.calls.entries()) {
      if (!fault.concerns(call)) continue;
      count++;
      const at = before + 1;
      const files = new FaultyFiles({ at, fault });
      const where = `${fault.name} at call ${at}, ${call.name} ${call.path}`;
      await this.#try(where, files, this.site.disk.files, { struck: call, ...circumstances });
      const { disturbed } = files;
      assert.deepEqual([disturbed?.name, disturbed?.path], [call.name, call.path], `${where}: another call`);
    }
    return count;
  }

  /** Tries the command on another view of the disk. */
  async on(name: string, over: (fs: FileSystem) => FileSystem, circumstances: Circumstances): Promise<void> {
    await this.#try(name, new FaultyFiles(), over(this.site.disk.files), circumstances);
  }

  async #try(
    where: string,
    files: FaultyFiles,
    disk: FileSystem,
    circumstances: Circumstances,
  ): Promise<void> {
    this.site.reset();
    const ended = await runProcess(this.site, this.#scenario.run, files, disk);
    try {
      await this.#examiner.examine(ended, circumstances);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const trial = `${this.#scenario.name}, ${this.site.way}, ${where}`;
      throw new Error(`${trial}, which ${describe(ended)}: ${error.message}`, { cause: error });
    }
  }
}

/** Runs a command as a process of its own, to its end or to its death. */
export async function runProcess(
  site: Site,
  run: (site: Site, process: Process) => Promise<Ran>,
  files: FaultyFiles,
  disk: FileSystem = site.disk.files,
): Promise<Ended> {
  const work = run(site, site.process({ files: files.over(disk) })).then(
    (ran): Ended => ({ kind: "ran", ...ran }),
    (error: unknown): Ended => ({ kind: "failed", error }),
  );
  try {
    return await Promise.race([work, files.died.then((): Ended => ({ kind: "died" }))]);
  } finally {
    await files.end();
  }
}

export function describe(ended: Ended): string {
  switch (ended.kind) {
    case "died":
      return "died";
    case "failed":
      return `failed with ${ended.error}`;
    case "ran":
      return `said ${ended.outcome} ${JSON.stringify(ended.notices)}`;
  }
  return ended satisfies never;
}
