/** Child processes and signals. */
import type { System } from "../../../lib/system.ts";
import { outcomeOf } from "./outcome.ts";

const longMs = 20_000;
const sh = (script: string, ...args: string[]) => ["sh", "-c", script, "sh", ...args];

async function waitForFile({ fs, clock }: System, file: string): Promise<void> {
  while (await outcomeOf(() => fs.lstat(file)) !== "done") await clock.sleep(5);
}

/** What start() and capture() report of children that end in each of these ways. */
export async function exitCodes({ processes }: System) {
  const codes: Record<string, [number, number]> = {};
  for (const end of ["exit 0", "exit 3", "exit 255", "kill -KILL $$", "kill -TERM $$", "kill -INT $$"]) {
    const started = await processes.start(sh(end));
    const captured = await processes.capture(sh(end), { timeoutMs: longMs });
    codes[end] = [await started.exited, captured.code];
  }
  return codes;
}

/** The exit code of a child that dies of the real-time signal 35. */
export async function realTimeDeath({ processes }: System) {
  return { started: await (await processes.start(sh("kill -35 $$"))).exited };
}

/** Child.kill with SIGTERM for a child that catches it and exits 7, for one that does not, and for one that has ended. */
export async function terminate(system: System, dir: string) {
  const script = (trap: string) => `${trap}; : >"$1"; while :; do sleep 0.02; done`;
  const endOf = async (name: string, trap: string) => {
    const child = await system.processes.start(sh(script(trap), `${dir}/${name}`));
    await waitForFile(system, `${dir}/${name}`);
    child.kill("SIGTERM");
    const code = await child.exited;
    return { code, again: await outcomeOf(() => child.kill("SIGTERM")) };
  };
  return { caught: await endOf("caught", 'trap "exit 7" TERM'), plain: await endOf("plain", ":") };
}

/** What start() and capture() say of commands that cannot run. Expects `not-executable`, a file without that permission. */
export async function startErrors({ processes }: System, dir: string) {
  const outcomes: Record<string, [string, string]> = {};
  for (const command of ["/absent/command", "no-such-command-anywhere", `${dir}/not-executable`, dir]) {
    outcomes[command.replace(dir, "DIR")] = [
      await outcomeOf(() => processes.start([command])),
      await outcomeOf(() => processes.capture([command], { timeoutMs: longMs })),
    ];
  }
  return outcomes;
}

/** How long capture() waits, at most 2 s, for children that do not end by themselves: long enough to print on a busy machine. */
export async function timeouts({ processes, clock }: System) {
  const scripts = {
    ignoresTerm: 'trap "" TERM; echo out; while :; do sleep 0.05; done',
    leavesGrandchild: "echo out; sleep 20 & while :; do sleep 0.05; done",
    grandchildAlone: "echo out; sleep 20 &",
  };
  const runs = Object.entries(scripts).map(async ([name, script]) => {
    const startMs = clock.monotonicMs();
    const { code, timedOut, stdout } = await processes.capture(sh(script), { timeoutMs: 2_000 });
    return [name, { code, timedOut, stdout, elapsedMs: clock.monotonicMs() - startMs }] as const;
  });
  return Object.fromEntries(await Promise.all(runs));
}

/** What aborting does to the child of capture(): while it runs, and where that happened before the start. */
export async function abort(system: System, dir: string) {
  const { processes } = system;
  const controller = new AbortController();
  const script = 'trap "echo caught; exit 9" TERM; : >"$1"; while :; do sleep 0.02; done';
  const running = processes.capture(sh(script, `${dir}/abort`), {
    timeoutMs: longMs,
    signal: controller.signal,
  });
  await waitForFile(system, `${dir}/abort`);
  controller.abort();
  const { code, stdout, timedOut } = await running;
  const before = await processes.capture(["sleep", "5"], { timeoutMs: longMs, signal: AbortSignal.abort() });
  return { code, stdout, timedOut, beforeStart: before.code };
}

/** A child sends signals to this process: while they are handled, and, `argument` being "after", afterwards. */
export async function signals({ processes, clock }: System, _dir: string, argument: string) {
  const received: string[] = [];
  const stop = processes.onSignals(["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGNONSENSE"], (signal) => {
    received.push(signal);
  });
  const send = (signal: string) => processes.capture(sh(`kill -${signal} $PPID`), { timeoutMs: longMs });
  for (const [i, signal] of ["TERM", "INT", "HUP", "TERM"].entries()) {
    await send(signal);
    while (received.length <= i) await clock.sleep(1);
  }
  stop();
  if (argument === "after") {
    await send("TERM");
    await clock.sleep(longMs);
  }
  return received;
}

export async function capturedOutput({ processes }: System) {
  const run = await processes.capture(
    sh('head -c 6000000 /dev/zero | tr "\\0" x; head -c 1000000 /dev/zero | sed "s/\\x00/é/g" >&2'),
    { timeoutMs: longMs },
  );
  return {
    code: run.code,
    stdoutChars: run.stdout.length,
    stdoutIsWhole: /^x+$/.test(run.stdout),
    stderrChars: run.stderr.length,
    stderrIsWhole: /^é+$/.test(run.stderr),
  };
}

/** Lets a child copy its stdin, which is this process's own, to a file. */
export async function inheritedStdin({ processes }: System, dir: string) {
  const child = await processes.start(sh('cat >"$1"', `${dir}/stdin`));
  return { code: await child.exited };
}
