/** One GET after the other, to a server that the test runs. */
import type { System } from "../../../lib/system.ts";

const timeoutMs = 200;

/** For each path of `argument`, separated by commas: the status, or that it failed and when. */
export async function http({ http, clock }: System, _dir: string, argument: string) {
  const [base = "", ...paths] = argument.split(",");
  const answers: Record<string, { status: number | "failed"; elapsedMs: number }> = {};
  for (const path of paths) {
    const startMs = clock.monotonicMs();
    const status = await http.status(base + path, { timeoutMs }).catch(() => "failed" as const);
    answers[path] = { status, elapsedMs: clock.monotonicMs() - startMs };
  }
  return answers;
}
