/** What a measurement was taken on, for the reader of its results. */
import * as os from "node:os";
import { capture } from "../scripts/process.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  /** The file system that the trees and stores lie on. */
  readonly fileSystem: string;
  readonly tools: readonly string[];
}

const toolTimeoutMs = 10 * 1000;

export async function describeMachine(dir: string): Promise<Machine> {
  const commands = [["tar", "--version"], ["zstd", "--version"], [
    "gzip",
    "--version",
  ]];
  const tools = await Promise.all(
    commands.map((argv) => capture(argv, { timeoutMs: toolTimeoutMs })),
  );
  const fileSystem = await capture([
    "stat",
    "--file-system",
    "--format=%T",
    dir,
  ], {
    timeoutMs: toolTimeoutMs,
  });
  return {
    cpu: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 1e9),
    kernel: `${os.type()} ${os.release()}`,
    fileSystem: fileSystem.stdout.trim(),
    tools: tools.map(({ stdout }) => stdout.split("\n")[0] ?? ""),
  };
}
