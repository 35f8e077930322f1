/**
 * What is known of a start, for those who ask: the file of `--report`, Prometheus' of `--metrics-file`, and this pod's own
 * state, from which `status` shows it. COMMAND's own stdout is never touched.
 */
import { errnoOf, messageOf } from "../errors.ts";
import { prometheusText } from "../metrics.ts";
import { replaceFile } from "../replace_file.ts";
import { newRecord, recordJson, type StartRecord } from "../start_record.ts";
import type { System } from "../system.ts";
import { printableJson, quote } from "../text.ts";

/** For whoever reads reports and metrics. */
const fileMode = 0o644;

export interface ReportFiles {
  readonly report?: string;
  readonly metricsFile?: string;
}

export class StartReport {
  readonly #system: System;
  readonly #files: ReportFiles;
  readonly #onProblem: (problem: string) => void;
  readonly #told = new Set<string>();
  #record: StartRecord;
  #lastStartFile: string | undefined;

  /** @param onProblem is told what could not be written, once for each file: it changes no exit status. */
  constructor(
    system: System,
    operation: StartRecord["operation"],
    { files, onProblem }: { files: ReportFiles; onProblem: (problem: string) => void },
  ) {
    this.#system = system;
    this.#files = files;
    this.#onProblem = onProblem;
    this.#record = newRecord(operation, system.clock.nowMs());
  }

  get record(): StartRecord {
    return this.#record;
  }

  /** Where `status` finds it. */
  keepIn(lastStartFile: string): void {
    this.#lastStartFile = lastStartFile;
  }

  /** Changes what is known, and writes every file anew. */
  async note(change: Partial<StartRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    const json = `${printableJson(recordJson(this.#record))}\n`;
    await this.#write(this.#files.metricsFile, prometheusText(this.#record));
    await this.#write(this.#files.report, json);
    await this.#write(this.#lastStartFile, json);
  }

  async #write(path: string | undefined, text: string): Promise<void> {
    if (path === undefined) return;
    try {
      await replaceFile(this.#system, path, { text, mode: fileMode, nowMs: this.#system.clock.nowMs() });
    } catch (error) {
      if (this.#told.has(path)) return;
      this.#told.add(path);
      this.#onProblem(`Cannot write ${quote(path)}: ${errnoOf(error) ?? messageOf(error)}`);
    }
  }
}
