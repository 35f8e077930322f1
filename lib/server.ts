/** Is the vLLM server ready? */
import { type ServerAddress, serverAddress } from "./server_address.ts";
import { formatSocketUrl, parseSocketUrl } from "./socket_url.ts";
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

/**
 * The address to probe for a server that is started with this command line: what the line says, and for the rest
 * `byDefault`. A node without a server of its own has only that: its user may name the head node's.
 */
export function probeUrl(command: readonly string[], byDefault: string): string {
  const address = serverAddress(command);
  const socket = parseSocketUrl(byDefault);
  switch (address.kind) {
    case "none":
      return byDefault;
    case "socket": {
      const { path: socketPath, tls } = address;
      return formatSocketUrl({
        socketPath,
        tls,
        requestPath: socket?.requestPath ?? requestPathOf(byDefault),
      });
    }
    case "network":
      // Whoever names a socket knows more than a command line that does not.
      return socket ? byDefault : networkUrl(address, byDefault);
  }
}

function requestPathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

function networkUrl({ host, port, tls }: ServerAddress & { kind: "network" }, byDefault: string): string {
  if (host === undefined && port === undefined && !tls) return byDefault;
  const url = new URL(byDefault);
  // Said before the scheme changes, and with it the port that an URL need not name.
  const portBefore = url.port || (url.protocol === "https:" ? "443" : "80");
  if (tls) url.protocol = "https:";
  url.port = port ?? portBefore;
  if (host !== undefined) url.hostname = host;
  return url.href;
}
