/** One GET after the other, to a server that the test runs. */
import type { System } from "../../../lib/system.ts";

/** `argument` is a deadline in ms, an address and its paths. For each path: the status, or that it failed, and when. */
export async function http({ http, clock }: System, _dir: string, argument: string) {
  const [timeoutMs, base = "", ...paths] = argument.split(",");
  const answers: Record<string, { status: number | "failed"; elapsedMs: number }> = {};
  for (const path of paths) {
    const startMs = clock.monotonicMs();
    const status = await http.status(base + path, { timeoutMs: Number(timeoutMs) }).catch(() =>
      "failed" as const
    );
    answers[path] = { status, elapsedMs: clock.monotonicMs() - startMs };
  }
  return answers;
}
