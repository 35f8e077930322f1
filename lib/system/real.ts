/** The real world, for the composition root and for the tests that need a real disk. */
import process from "node:process";
import type { System } from "../system.ts";
import { realClock, realRandom } from "./clock.ts";
import { realDisk } from "./disk.ts";
import { realFileSystem } from "./files.ts";
import { realHost } from "./host.ts";
import { realHttp } from "./http.ts";
import { askOnce } from "./answers.ts";
import { takeOver } from "./hand_over.ts";
import { realProcesses } from "./processes.ts";
import { describeRuntime, selfCommand } from "./runtime.ts";
import { realSandbox } from "./sandbox.ts";
import { realStdio } from "./stdio.ts";
import { realWriterThreads } from "./writer_threads.ts";

export function realSystem(): System {
  const runtime = describeRuntime();
  const self = selfCommand(runtime);
  const stdio = realStdio();
  // Before the environment is read: it is for nobody else.
  const inside = takeOver();
  const processes = askOnce(realProcesses(), inside?.answers ?? []);
  return {
    runtime: { ...runtime, self },
    fs: realFileSystem(),
    disk: realDisk(),
    clock: realClock,
    random: realRandom,
    env: { ...process.env },
    host: realHost(),
    stdio,
    processes,
    http: realHttp,
    writerThreads: realWriterThreads(runtime),
    sandbox: realSandbox({ argv: [...self, ...stdio.argv], inside, answers: processes.answers }),
  };
}
