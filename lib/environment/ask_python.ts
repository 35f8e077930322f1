/** Asking an interpreter where its packages are. */
import * as v from "valibot";
import { messageOf } from "../errors.ts";
import type { System } from "../system.ts";
import { quote } from "../text.ts";

/** An interpreter on a cold network disk takes seconds; one that takes longer than this tells nothing. */
const askTimeoutMs = 10_000;

/**
 * sys.path without the working directory, which `-c` puts first, and where `import torch` would find it: a
 * finder of an editable install may answer that, and finding a top-level module imports nothing of it.
 */
const question = `
import json, os, sys
sys.path[:] = [p for p in sys.path if p]
def torch():
    for finder in sys.meta_path:
        try:
            found = finder.find_spec("torch", None)
        except Exception:
            continue
        if found is not None:
            return os.path.dirname(os.path.abspath(found.origin)) if found.origin else None
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2] + ("t" if "t" in getattr(sys, "abiflags", "") else ""),
    "path": [os.path.abspath(p) for p in sys.path],
    "torch": torch(),
}))
`;

const answerSchema = v.object({
  version: v.pipe(v.string(), v.regex(/^\d+\.\d+t?$/)),
  path: v.array(v.string()),
  torch: v.nullable(v.string()),
});

export type Answer = v.InferOutput<typeof answerSchema>;

/**
 * One short call (`-B`: it writes no bytecode either).
 * @returns the answer, or in words why there is none.
 */
export async function askPython(
  { processes }: Pick<System, "processes">,
  python: string,
): Promise<Answer | { readonly failure: string }> {
  try {
    const run = await processes.capture([python, "-B", "-c", question], { timeoutMs: askTimeoutMs });
    if (run.timedOut) return { failure: `no answer within ${askTimeoutMs / 1000} s` };
    if (run.code !== 0) return { failure: `exit status ${run.code}${lastWords(run.stderr)}` };
    return parseAnswer(run.stdout);
  } catch (error) {
    return { failure: messageOf(error) };
  }
}

/** Only the last line counts: a sitecustomize.py may print something before it. */
export function parseAnswer(stdout: string): Answer | { readonly failure: string } {
  const line = lastLine(stdout);
  try {
    return v.parse(answerSchema, JSON.parse(line));
  } catch {
    return { failure: `it printed ${quote(line.slice(0, 200))}` };
  }
}

function lastWords(stderr: string): string {
  const line = lastLine(stderr);
  return line === "" ? "" : `, ${quote(line.slice(0, 200))}`;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
