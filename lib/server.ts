/** Is the vLLM server ready? */
import type { System } from "./system.ts";

export interface Wait {
  readonly url: string;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

/** One probe may take this long: a server that is compiling answers late. */
const probeTimeoutMs = 5_000;

/**
 * Asks until the server answers, or the time is over.
 * @returns false where it was not ready in time.
 * @throws the signal's reason.
 */
export async function waitUntilReady(system: Pick<System, "http" | "clock">, wait: Wait): Promise<boolean> {
  const deadlineMs = system.clock.monotonicMs() + wait.timeoutMs;
  for (;;) {
    wait.signal.throwIfAborted();
    const leftMs = deadlineMs - system.clock.monotonicMs();
    if (leftMs <= 0) return false;
    if (await answers(system, wait.url, Math.min(probeTimeoutMs, leftMs))) return true;
    await system.clock.sleep(
      Math.max(0, Math.min(wait.intervalMs, deadlineMs - system.clock.monotonicMs())),
      wait.signal,
    );
  }
}

async function answers(system: Pick<System, "http">, url: string, timeoutMs: number): Promise<boolean> {
  try {
    const status = await system.http.status(url, { timeoutMs });
    // 401 and 403: it is up, and wants an API key that this program does not have.
    return (status >= 200 && status < 300) || status === 401 || status === 403;
  } catch {
    return false;
  }
}

/** The address to probe for a server that is started with this command line: its --host and --port, if it has them. */
export function probeUrl(command: readonly string[], byDefault: string): string {
  const host = optionValue(command, "--host");
  const port = optionValue(command, "--port");
  if (host === undefined && port === undefined) return byDefault;
  const url = new URL(byDefault);
  if (host !== undefined) url.hostname = reachableHost(host);
  if (port !== undefined && /^\d{1,5}$/.test(port)) url.port = port;
  return url.href;
}

/** `--name value` or `--name=value`; the last one counts. */
function optionValue(command: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (const [at, word] of command.entries()) {
    if (word === name) value = command[at + 1];
    else if (word.startsWith(`${name}=`)) value = word.slice(name.length + 1);
  }
  return value;
}

/** A server that listens on every address is reached on the loopback one. */
function reachableHost(host: string): string {
  if (host === "" || host === "0.0.0.0") return "127.0.0.1";
  if (host === "::" || host === "[::]") return "[::1]";
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
