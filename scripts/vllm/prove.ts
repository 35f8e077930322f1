/**
 * prove.ts: what the cache does for a real vLLM server on the CPU, measured from the outside: cold, bare and warm, with
 * the program before it and beside it, on a new pod, at another path, killed, in two namespaces, and with everything
 * outside VLLM_CACHE_ROOT. VLLM=DIR names what setup.sh makes; else it is made in .cache/vllm. Prints a table, and
 * writes docs/vllm-results.json, from which timeline.ts draws. Exits non-zero where anything is not as it should be.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { run } from "../process.ts";
import { binary, projectDir } from "../project.ts";
import { formatTable } from "../table.ts";
import { makePod, type Pod, type PodOptions, torchDirOf, type Vllm } from "./pod.ts";
import { type Form, type Moment, serve, type Served, type ServeOptions } from "./serve.ts";

const setupTimeoutMs = 900_000;
const resultsFile = path.join(projectDir, "docs", "vllm-results.json");

interface Result {
  readonly part: string;
  readonly name: string;
  readonly readyS: number;
  readonly verdict: string;
  readonly savedS: number | null;
  readonly moments: readonly Moment[];
}

const results: Result[] = [];
let currentPart = "";
const problems: string[] = [];

function expect(isSo: boolean, what: string): void {
  console.log(`${isSo ? "  ok" : "  WRONG"}  ${what}`);
  if (!isSo) problems.push(what);
}

async function vllmIn(): Promise<Vllm> {
  const given = process.env["VLLM"];
  const dir = given ?? path.join(projectDir, ".cache", "vllm");
  if (!fs.existsSync(path.join(dir, "installed.txt"))) {
    console.log(`Installing vLLM into ${dir} …`);
    await run(["bash", path.join(projectDir, "scripts", "vllm", "setup.sh"), dir], {
      timeoutMs: setupTimeoutMs,
    });
  }
  return { dir };
}

interface StartReport {
  readonly load: { readonly status: string; readonly files: number } | null;
  readonly save: { readonly status: string; readonly files: number } | null;
  readonly verdict: string | null;
  readonly saved_s: number | null;
  readonly new_files: number | null;
}

class Proof {
  readonly base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "b10v-")));
  readonly vllm: Vllm;
  readonly #pods: Pod[] = [];

  constructor(vllm: Vllm) {
    this.vllm = vllm;
    fs.mkdirSync(path.join(this.base, "share"));
  }

  pod(name: string, settings: PodOptions["settings"] = {}, store = "store"): Pod {
    const storeDir = path.join(this.base, "share", store);
    const pod = makePod(name, { vllm: this.vllm, base: this.base, storeDir, settings });
    this.#pods.push(pod);
    return pod;
  }

  /** Starts a server, waits until it is ready and the program is done, and ends it. */
  async start(
    name: string,
    pod: Pod,
    form: Form,
    options: Pick<ServeOptions, "model"> = {},
  ): Promise<{ served: Served; report: StartReport | undefined }> {
    console.log(`\n${name}`);
    const reportFile = path.join(pod.home, "report.json");
    const served = await serve(pod, {
      vllm: this.vllm,
      form,
      ...options,
      ...(form === "run" ? { options: ["--report", reportFile] } : {}),
    });
    const readyS = await served.ready();
    if (form !== "bare") await served.said(/save (SUCCESS|SKIPPED|ERROR)/);
    const code = await served.end();
    expect(code === 0, `it ends with 0 when it is told to, not ${code}`);
    const report: StartReport | undefined = form === "run"
      ? JSON.parse(fs.readFileSync(reportFile, "utf8"))
      : undefined;
    const verdict = report?.verdict ?? /cache (HIT|PARTIAL|INERT|COLD):/.exec(served.output)?.[1] ?? "";
    results.push({
      part: currentPart,
      name,
      readyS,
      verdict,
      savedS: report?.saved_s ?? null,
      moments: served.moments,
    });
    console.log(`  ready after ${readyS.toFixed(1)} s ${verdict}`);
    return { served, report };
  }

  [Symbol.dispose](): void {
    for (const pod of this.#pods) fs.rmSync(torchDirOf(pod), { recursive: true, force: true });
    fs.rmSync(this.base, { recursive: true, force: true });
  }
}

/** Cold, saved, restored on a new pod; against a bare warm one, in turns. */
async function mainJob(proof: Proof): Promise<void> {
  const bare = proof.pod("bare");
  await proof.start("bare, cold", bare, "bare");
  const first = await proof.start("run, cold: saves", proof.pod("first"), "run");
  expect(first.report?.load?.status === "DOES_NOT_EXIST", "there is nothing to load yet");
  expect(
    first.report?.save?.status === "SUCCESS" && first.report.verdict === "COLD",
    "it is COLD, and saved",
  );
  for (const round of [1, 2, 3]) {
    await proof.start(`bare, warm (${round})`, bare, "bare");
    const prefixed = await proof.start(`run, warm (${round})`, bare, "run");
    expect(prefixed.report?.load?.status !== "ERROR", "the load before a warm start is no error");
    const restored = await proof.start(
      `run, restored on a new pod (${round})`,
      proof.pod(`new${round}`),
      "run",
    );
    expect(restored.report?.load?.status === "SUCCESS", "the new pod restores the cache");
    expect(restored.report?.verdict === "HIT" || restored.report?.verdict === "PARTIAL", "the cache helps");
    expect((restored.report?.saved_s ?? 0) > 5, `it saves ${restored.report?.saved_s} s`);
  }
}

async function variants(proof: Proof): Promise<void> {
  // The store may have nothing yet, where this part runs alone.
  await proof.start("run, before the others", proof.pod("before"), "run");
  const beside = await proof.start("& beside it, restored on a new pod", proof.pod("beside"), "background");
  expect(/load SUCCESS/.test(beside.served.output), "the background load restores the cache");
  const elsewhere = proof.pod("elsewhere", { VLLM_CACHE_ROOT: path.join(proof.base, "moved", "vllm") });
  const moved = await proof.start("run, restored to another VLLM_CACHE_ROOT", elsewhere, "run");
  expect(
    moved.report?.verdict === "HIT" || moved.report?.verdict === "PARTIAL",
    "it helps at another path too",
  );
}

async function killed(proof: Proof): Promise<void> {
  console.log("\na server that is killed while it starts");
  const pod = proof.pod("killed");
  const served = await serve(pod, { vllm: proof.vllm, form: "run" });
  await served.said(/Initializing a V1/);
  const code = await served.end("SIGKILL");
  expect(code !== 0, `it ends with ${code}`);
  const again = await proof.start("run, after it was killed", pod, "run");
  expect(again.report?.load?.status === "SKIPPED", "everything is on the pod already");
}

/** Two models, one store: each finds its own cache. */
async function namespaces(proof: Proof): Promise<void> {
  for (const [model, namespace] of [["tiny", "one"], ["tiny2", "two"]] as const) {
    const settings = { B10_CACHE_NAMESPACE: namespace };
    const cold = await proof.start(
      `namespace ${namespace}, cold`,
      proof.pod(`${namespace}a`, settings),
      "run",
      { model },
    );
    expect(cold.report?.load?.status === "DOES_NOT_EXIST", "the other model's cache is not its own");
    const warm = await proof.start(
      `namespace ${namespace}, restored`,
      proof.pod(`${namespace}b`, settings),
      "run",
      { model },
    );
    expect(
      warm.report?.load?.status === "SUCCESS" && warm.report.load.files === cold.report?.save?.files,
      "it restores what it saved",
    );
  }
}

/** Everything lies in torch's directory, and b10-transfer carries none of it. */
async function withoutAot(proof: Proof): Promise<void> {
  const settings = { VLLM_USE_AOT_COMPILE: "0" };
  const bare = proof.pod("noaot", settings, "noaot");
  await proof.start("without AOT, bare, cold", bare, "bare");
  await proof.start("without AOT, bare, warm", bare, "bare");
  const cold = await proof.start(
    "without AOT, run, cold: saves",
    proof.pod("noaot1", settings, "noaot"),
    "run",
  );
  expect(cold.report?.save?.status === "SUCCESS", "it is saved");
  const warm = await proof.start(
    "without AOT, run, restored on a new pod",
    proof.pod("noaot2", settings, "noaot"),
    "run",
  );
  expect(warm.report?.verdict === "HIT" || warm.report?.verdict === "PARTIAL", "the cache helps");
}

/** Those of the parts that were run now take the place of the older ones. */
function keepResults(): void {
  const older: Result[] = fs.existsSync(resultsFile)
    ? JSON.parse(fs.readFileSync(resultsFile, "utf8")).results
    : [];
  const fresh = new Set(results.map(({ part }) => part));
  const all = [...older.filter(({ part }) => !fresh.has(part)), ...results];
  const order = Object.keys(parts);
  all.sort((a, b) => order.indexOf(a.part) - order.indexOf(b.part));
  fs.writeFileSync(resultsFile, `${JSON.stringify({ results: all }, null, 2)}\n`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function readyTimes(prefix: string): number[] {
  return results.filter(({ name }) => name.startsWith(prefix)).map(({ readyS }) => readyS);
}

const parts = { main: mainJob, variants, killed, namespaces, noaot: withoutAot } as const;
type Part = keyof typeof parts;

if (!fs.existsSync(binary)) throw new Error(`There is no ${binary}: deno task build makes it`);
const chosen = process.argv.slice(2).filter((word): word is Part => word in parts);
const proof = new Proof(await vllmIn());
try {
  for (const part of chosen.length > 0 ? chosen : Object.keys(parts) as Part[]) {
    currentPart = part;
    await parts[part](proof);
  }
} finally {
  proof[Symbol.dispose]();
}
console.log(`\n${
  formatTable(
    ["start", "ready", "cache", "sooner than cold"],
    results.map(({ name, readyS, verdict, savedS }) => [
      name,
      `${readyS.toFixed(1)} s`,
      verdict,
      savedS === null ? "" : `${savedS.toFixed(1)} s`,
    ]),
  )
}`);
const [warm, prefixed, restored] = ["bare, warm", "run, warm", "run, restored on a new pod"].map((name) =>
  median(readyTimes(name))
);
if (warm && prefixed && restored) {
  const more = (than: number) => `${(100 * (than / warm - 1)).toFixed(1)} %`;
  console.log(
    `medians of 3, in turns: bare and warm ${warm.toFixed(2)} s; with the prefix on the same pod ` +
      `${prefixed.toFixed(2)} s, ${more(prefixed)} more; restored on a new pod ${restored.toFixed(2)} s, ` +
      `${more(restored)} more: the 156 MB of precompiled headers, which are not carried, are made anew there`,
  );
}
if (problems.length === 0) keepResults();
console.log(
  problems.length === 0 ? "all as it should be" : `${problems.length} WRONG:\n${problems.join("\n")}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
