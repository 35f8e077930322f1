/** The real world, for the composition root and for the tests that need a real disk. */
import process from "node:process";
import type { System } from "../system.ts";
import { realClock, realRandom } from "./clock.ts";
import { realFileSystem } from "./files.ts";
import { realHost } from "./host.ts";
import { realHttp } from "./http.ts";
import { realProcesses } from "./processes.ts";
import { describeRuntime, selfCommand } from "./runtime.ts";
import { realSandbox } from "./sandbox.ts";
import { realStdio } from "./stdio.ts";

export function realSystem(): System {
  const runtime = describeRuntime();
  return {
    runtime: { ...runtime, self: selfCommand(runtime) },
    fs: realFileSystem(),
    clock: realClock,
    random: realRandom,
    env: { ...process.env },
    host: realHost(),
    stdio: realStdio(),
    processes: realProcesses(),
    http: realHttp,
    sandbox: realSandbox(),
  };
}
