/** What `run` did about the cache, for `--report FILE`: COMMAND's own stdout is never touched. */
import { errnoOf, messageOf } from "../errors.ts";
import type { Report } from "../status.ts";
import type { FileSystem, System } from "../system.ts";

const reportMode = 0o644;

export class RunReport {
  readonly #system: System;
  readonly #path: string | undefined;
  #load: Report | null = null;
  #save: Report | null = null;
  #saving = false;
  #status: number | null = null;

  constructor(system: System, path: string | undefined) {
    this.#system = system;
    this.#path = path;
  }

  loaded(report: Report): void {
    this.#load = report;
  }

  beginSave(): void {
    this.#saving = true;
  }

  saved(report: Report): void {
    this.#saving = false;
    this.#save = report;
  }

  get isSaving(): boolean {
    return this.#saving;
  }

  ended(commandStatus: number): void {
    this.#status = commandStatus;
  }

  /** Replaces the file by a complete one. @param onProblem is told what went wrong: it changes no exit status. */
  async write(onProblem: (problem: string) => void): Promise<void> {
    if (this.#path === undefined) return;
    const { fs, random, clock } = this.#system;
    const content = { operation: "run", load: this.#load, save: this.#save, command_status: this.#status };
    const temporary = `${this.#path}.${random.hex(8)}.new`;
    try {
      const bytes = new TextEncoder().encode(`${JSON.stringify(content)}\n`);
      fs.createFileSync(temporary, bytes, { mode: reportMode, mtimeNs: BigInt(clock.nowMs()) * 1_000_000n });
      await fs.rename(temporary, this.#path);
    } catch (error) {
      await removeLeftover(fs, temporary);
      onProblem(
        `Cannot write the report ${JSON.stringify(this.#path)}: ${errnoOf(error) ?? messageOf(error)}`,
      );
    }
  }
}

async function removeLeftover(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch {
    // It was never made, or cannot be removed: the report's own problem is what is told.
  }
}
