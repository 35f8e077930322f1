/** A server's start with the whole program around it: what is saved, what it won, and what becomes of a bad cache. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Report } from "../../lib/status.ts";
import { bunExecutable } from "../../scripts/project.ts";
import { readPrometheus } from "../prometheus.ts";
import { mainProgram, ownRuntime, selectTargets, type Target } from "../targets.ts";
import {
  Fleet,
  operate,
  type Pod,
  reportOf,
  run,
  type Running,
  start,
  storeFiles,
  testTimeoutMs,
} from "./fleet.ts";
import { waitForFile, waitUntil } from "./server.ts";

const fakeVllm = fileURLToPath(new URL("fake_vllm.mjs", import.meta.url));

/** One of them, below the home: Triton's names have 52 characters. */
const tritonKernel = `.triton/cache/${"KERNEL".padEnd(52, "A")}/kernel.cubin`;

/** What the server compiles, by root. */
const compiledFiles = 5;
/** And the two notes that it writes at each start. */
const savedFiles = compiledFiles + 2;

/** How long it compiles where a warm start must be the sooner one, on a busy machine too. */
const slowCompileMs = 4_000;

interface StartJson {
  readonly load: Report | null;
  readonly save: Report | null;
  readonly saves: number;
  readonly verdict: string | null;
  readonly restored_files: number | null;
  readonly new_files: number | null;
  readonly ready_s: number | null;
  readonly cold_start_s: number | null;
  readonly saved_s: number | null;
  readonly command_status: number | null;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address);
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

interface Place {
  readonly pod: Pod;
  readonly port: number;
  readonly files: { readonly report: string; readonly metrics: string };
}

async function placeOn(fleet: Fleet, name: string, settings: Record<string, string> = {}): Promise<Place> {
  const port = await freePort();
  const pod = fleet.pod(name, {
    B10_TRANSFER_VLLM_URL: `http://127.0.0.1:${port}/v1/models`,
    B10_TRANSFER_INTERVAL_S: "0.05",
    ...settings,
  });
  const file = (ending: string) => path.join(fleet.base, `${name}-${port}.${ending}`);
  return { pod, port, files: { report: file("json"), metrics: file("prom") } };
}

/** As it is at the moment: the report is written anew with each step. */
function readStart({ files }: Place): StartJson | undefined {
  return fs.existsSync(files.report) ? JSON.parse(fs.readFileSync(files.report, "utf8")) : undefined;
}

class Served implements AsyncDisposable {
  readonly place: Place;
  readonly #running: Running;

  constructor(place: Place, running: Running) {
    this.place = place;
    this.#running = running;
  }

  async ask(request: string): Promise<void> {
    // The answer may be cut off by the server's end.
    await fetch(`http://127.0.0.1:${this.place.port}/${request}`).then((answer) => answer.text()).catch(
      () => {},
    );
  }

  async saved(count: number): Promise<void> {
    await waitUntil(() => (readStart(this.place)?.saves ?? 0) >= count, `${count} saves`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  /** Ends the server by itself, with this status. */
  async end(status = 0) {
    await this.ask(`exit/${status}`);
    return await this.ended();
  }

  async ended() {
    const ended = await this.#running.ended;
    return { ...ended, start: readStart(this.place) ?? assert.fail(ended.stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running.kill("SIGKILL");
    await this.ask("exit/0");
    await this.#running.ended;
  }
}

const serverOf = ({ port }: Place) => [bunExecutable, fakeVllm, "serve", "--port", String(port)];

/** `run -- vllm serve …` */
function serve(target: Target, place: Place, options: readonly string[] = []): Served {
  const { report, metrics } = place.files;
  const args = ["run", "--report", report, "--metrics-file", metrics, ...options, "--", ...serverOf(place)];
  return new Served(place, start(target, place.pod, args));
}

/** Starts the server, lets it be saved, and ends it. */
async function serveOnce(target: Target, place: Place, options: readonly string[] = []) {
  await using served = serve(target, place, options);
  await served.saved(1);
  return await served.end();
}

function metricsOf({ files }: Place): Record<string, number> {
  const metrics = readPrometheus(fs.readFileSync(files.metrics, "utf8"));
  return Object.fromEntries(
    [...metrics].flatMap(([name, { samples }]) =>
      Object.entries(samples).map(([labels, value]) => [
        `${name.replace("b10_compile_cache_", "")}${labels}`,
        value,
      ])
    ),
  );
}

async function lastStartOf(target: Target, place: Place): Promise<unknown> {
  const ended = await run(target, place.pod, ["status", "--json"]);
  return JSON.parse(ended.stdout)["last_start"];
}

function assertWarm(place: Place, start: StartJson, ended: { stderr: string }): void {
  assert.equal(start.load?.status, "SUCCESS");
  assert.deepEqual(
    [start.verdict, start.restored_files, start.new_files],
    ["HIT", compiledFiles, 0],
    ended.stderr,
  );
  assert.ok((start.cold_start_s ?? 0) >= slowCompileMs / 1000);
  assert.ok((start.saved_s ?? 0) > 0.2, JSON.stringify(start));
  assert.match(
    ended.stderr,
    /cache HIT: ready after .* sooner than the cold start's .*; nothing was compiled anew/,
  );
  const metrics = metricsOf(place);
  assert.equal(metrics['verdict{verdict="HIT"}'], 1);
  assert.equal(metrics["restored_files"], compiledFiles);
  assert.ok(Math.abs((metrics["saved_seconds"] ?? 0) - (start.saved_s ?? 0)) < 0.01);
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`a server's start, ${target.name}`, () => {
    const options = { skip: target.skip, timeout: testTimeoutMs };

    test("run: cold, then a HIT on a pod with other directories, with what it won", options, async () => {
      using fleet = new Fleet();
      const one = await placeOn(fleet, "one", { FAKE_COMPILE_MS: `${slowCompileMs}` });
      const cold = await serveOnce(target, one);
      assert.equal(cold.code, 0, cold.stderr);
      assert.deepEqual(
        [cold.start.load?.status, cold.start.verdict, cold.start.new_files, cold.start.save?.status],
        ["DOES_NOT_EXIST", "COLD", compiledFiles, "SUCCESS"],
        cold.stderr,
      );
      assert.equal(cold.start.save?.["files"], savedFiles);
      assert.equal(metricsOf(one)['verdict{verdict="COLD"}'], 1);

      const two = await placeOn(fleet, "two");
      const warm = await serveOnce(target, two);
      assert.equal(warm.code, 0, warm.stderr);
      assertWarm(two, warm.start, warm);
      assert.equal(warm.start.save?.status, "SKIPPED", "the notes of a start are the same each time");
      assert.equal(warm.start.cold_start_s, cold.start.ready_s);
      for (
        const file of [`${two.pod.torchDir}/aa/caa.py`, path.join(two.pod.home, tritonKernel)]
      ) {
        assert.match(fs.readFileSync(file, "utf8"), /^kernel /);
      }
      assert.deepEqual(await lastStartOf(target, two), warm.start);
    });

    test("automatic mode beside the server: likewise", options, async () => {
      using fleet = new Fleet();
      for (const name of ["one", "two"]) {
        const place = await placeOn(fleet, name);
        // Another program's start is slower than the load, as a real server's imports are.
        const shell = 'trap "kill $!" EXIT; "$@" & wait $!';
        const program = start(target, place.pod, ["--json", "--metrics-file", place.files.metrics]);
        if (name === "two") await waitForFile(path.join(place.pod.home, tritonKernel));
        const server = start({ ...target, command: serverOf(place) }, place.pod, [], { shell });
        const ended = await program.ended;
        await fetch(`http://127.0.0.1:${place.port}/exit/0`).then((answer) => answer.text()).catch(() => {});
        await server.ended;
        assert.equal(ended.code, 0, ended.stderr);
        const report = reportOf(ended) as unknown as StartJson & { operation: string };
        assert.equal(report.operation, "automatic");
        assert.equal(report.saves, 1);
        if (name === "one") assert.deepEqual([report.verdict, report.save?.status], ["COLD", "SUCCESS"]);
        else {
          assert.deepEqual([report.verdict, report.save?.status], ["HIT", "SKIPPED"], ended.stderr);
          assert.equal(metricsOf(place)['verdict{verdict="HIT"}'], 1);
          const last = await lastStartOf(target, place) as StartJson;
          assert.deepEqual([last.verdict, last.saved_s], ["HIT", report.saved_s]);
        }
      }
    });

    test("what later requests compile is saved by the watch, and the next pod has it", options, async () => {
      using fleet = new Fleet();
      const one = await placeOn(fleet, "one");
      {
        await using served = serve(target, one);
        await served.saved(1);
        for (const [count, name] of ["attention.py", "mlp.py"].entries()) {
          await served.ask(`compile/${name}`);
          await served.saved(count + 2);
        }
        const { code, start } = await served.end(7);
        assert.deepEqual([code, start.saves, start.verdict, start.command_status], [7, 3, "COLD", 7]);
      }
      const two = await placeOn(fleet, "two");
      const warm = await serveOnce(target, two);
      assert.equal(warm.start.verdict, "HIT");
      assert.deepEqual(fs.readdirSync(path.join(two.pod.torchDir, "later")).sort(), [
        "attention.py",
        "mlp.py",
      ]);
    });

    test("without a watch it is not, and the program does nothing more", options, async () => {
      using fleet = new Fleet();
      const one = await placeOn(fleet, "one", { B10_CACHE_WATCH_S: "0" });
      await using served = serve(target, one);
      await served.saved(1);
      await served.ask("compile/attention.py");
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      assert.equal((await served.end()).start.saves, 1);
    });

    test(
      "a server that dies of what was restored: no other pod gets it, and nothing is started again",
      options,
      async () => {
        using fleet = new Fleet();
        await serveOnce(target, await placeOn(fleet, "one", { FAKE_LABEL: "poison" }));
        const two = await placeOn(fleet, "two", { FAKE_DIES_OF: "poison" });
        const dead = await serve(target, two).ended();
        assert.equal(dead.code, 3, dead.stderr);
        assert.match(dead.stderr, /the cache is suspect for every pod until another one is saved/);
        assert.equal(dead.stderr.split("the server dies of").length, 2);

        const three = fleet.pod("three");
        const load = await operate(target, three, ["load", "--all-roots"]);
        assert.equal(load.status, "DOES_NOT_EXIST");
        assert.match(load.message, /^generation \d+ is suspect: /);
        assert.equal(fs.existsSync(three.vllmDir), false);
      },
    );

    test(
      "that pod's own next start compiles anew, and its save acquits the environment",
      options,
      async () => {
        using fleet = new Fleet();
        await serveOnce(target, await placeOn(fleet, "one", { FAKE_LABEL: "poison" }));
        const deadly = { FAKE_DIES_OF: "poison", FAKE_LABEL: "good" };
        assert.equal((await serve(target, await placeOn(fleet, "two", deadly)).ended()).code, 3);
        const three = await placeOn(fleet, "three", deadly);
        const anew = await serveOnce(target, three);
        assert.deepEqual([anew.code, anew.start.load?.status, anew.start.verdict], [
          0,
          "DOES_NOT_EXIST",
          "COLD",
        ]);
        const four = await placeOn(fleet, "four", deadly);
        const warm = await serveOnce(target, four);
        assert.deepEqual([warm.code, warm.start.verdict], [0, "HIT"], warm.stderr);
      },
    );

    test(
      "--retry-cold: it is started once more with empty caches, and the next pod gets what it compiled",
      options,
      async () => {
        using fleet = new Fleet();
        await serveOnce(target, await placeOn(fleet, "one", { FAKE_LABEL: "poison" }));
        const deadly = { FAKE_DIES_OF: "poison", FAKE_LABEL: "good" };
        const two = await placeOn(fleet, "two", deadly);
        const recovered = await serveOnce(target, two, ["--retry-cold"]);
        assert.equal(recovered.code, 0, recovered.stderr);
        assert.deepEqual([recovered.start.verdict, recovered.start.save?.status], ["COLD", "SUCCESS"]);
        assert.equal(recovered.stderr.split("the server dies of").length, 2);

        const three = await placeOn(fleet, "three", deadly);
        const warm = await serveOnce(target, three);
        assert.deepEqual([warm.code, warm.start.verdict], [0, "HIT"], warm.stderr);
        assert.match(fs.readFileSync(path.join(three.pod.torchDir, "aa/caa.py"), "utf8"), /^good /);
      },
    );

    test(
      "--retry-cold: a server that dies of itself is started twice, and its second status wins",
      options,
      async () => {
        using fleet = new Fleet();
        await serveOnce(target, await placeOn(fleet, "one"));
        const two = await placeOn(fleet, "two");
        const starts = path.join(fleet.base, "starts");
        const script = `echo >> ${starts}; exit $(($(wc -l < ${starts}) + 40))`;
        const ended = await run(target, two.pod, ["run", "--retry-cold", "--", "/bin/sh", "-c", script]);
        assert.equal(ended.code, 42, ended.stderr);
        assert.equal(fs.readFileSync(starts, "utf8"), "\n\n");
      },
    );

    test("where the store cannot be written to the suspect is this pod's own", options, async () => {
      using fleet = new Fleet();
      await serveOnce(target, await placeOn(fleet, "one", { FAKE_LABEL: "poison" }));
      const [marks = ""] = storeFiles(fleet, "marks");
      fs.rmSync(marks || path.join(fleet.base, "no marks yet"), { recursive: true, force: true });
      const [generation = ""] = storeFiles(fleet, ".json").filter((file) => file.includes("generations"));
      const marksDir = path.join(path.dirname(path.dirname(generation)), "marks");
      // Something else has the name: nothing can be put there, by root neither.
      fs.writeFileSync(marksDir, "");
      const two = await placeOn(fleet, "two", { FAKE_DIES_OF: "poison" });
      fs.mkdirSync(two.pod.env["LOCAL_WORK_DIR"] ?? "");
      const dead = await serve(target, two).ended();
      assert.equal(dead.code, 3, dead.stderr);
      assert.match(dead.stderr, /the cache is suspect on this pod until another one is saved/);
      assert.equal((await operate(target, two.pod, ["load", "--all-roots"])).status, "DOES_NOT_EXIST");
      assert.equal((await operate(target, fleet.pod("three"), ["load", "--all-roots"])).status, "SUCCESS");
    });

    test(
      "two servers that start at once on one set of directories, without a cache and with one",
      options,
      async () => {
        using fleet = new Fleet();
        const both = async (name: string) => {
          const places = [await placeOn(fleet, name), await placeOn(fleet, name)];
          const ended = await Promise.all(places.map((place) => serveOnce(target, place)));
          for (const each of ended) assert.equal(each.code, 0, each.stderr);
          return ended;
        };
        const cold = await both("one");
        assert.ok(cold.some(({ start }) => start.save?.status === "SUCCESS"));
        const warm = await both("two");
        for (const { start, stderr } of warm) {
          assert.match(start.load?.status ?? "", /^(SUCCESS|SKIPPED)$/, stderr);
          assert.equal(start.verdict, "HIT", stderr);
        }
      },
    );

    test("a metrics file that cannot be written is said once, and changes nothing", options, async () => {
      using fleet = new Fleet();
      const place = await placeOn(fleet, "one");
      const metrics = path.join(fleet.base, "absent/cache.prom");
      const ended = await serveOnce(target, { ...place, files: { ...place.files, metrics } });
      assert.deepEqual([ended.code, ended.start.save?.status], [0, "SUCCESS"], ended.stderr);
      assert.equal(ended.stderr.split("Cannot write").length, 2);
      assert.match(ended.stderr, /absent\/cache\.prom": ENOENT/);
    });

    test("a save has the least of the CPU, and goes on where a tool refuses", options, async () => {
      using fleet = new Fleet();
      // It notes how nice its starter is.
      const realPython = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
        encoding: "utf8",
      })
        .trim();
      const [python, nices] = [path.join(fleet.base, "python3"), path.join(fleet.base, "nices")];
      fs.writeFileSync(python, `#!/bin/sh\nnice >> ${nices}\nexec ${realPython} "$@"\n`, { mode: 0o755 });
      const bin = path.join(fleet.base, "bin");
      fs.mkdirSync(bin);
      const place = await placeOn(fleet, "one", { B10_CACHE_PYTHON: python });
      for (const tools of [[], ["ionice"], ["ionice", "renice"]]) {
        for (const tool of tools) {
          fs.writeFileSync(path.join(bin, tool), "#!/bin/sh\necho refused\nexit 1\n", { mode: 0o755 });
        }
        const env = {
          ...place.pod.env,
          PATH: `${bin}:/usr/bin:/bin`,
          B10_CACHE_KEY: `tools-${tools.length}`,
        };
        fs.rmSync(nices, { force: true });
        const { code, start, stderr } = await serveOnce(target, { ...place, pod: { ...place.pod, env } });
        assert.deepEqual([code, start.save?.status], [0, "SUCCESS"], stderr);
        const [loading, ...saving] = fs.readFileSync(nices, "utf8").trim().split("\n").map(Number);
        assert.ok(loading !== undefined && saving.length > 0);
        const least = tools.includes("renice") ? loading : 19;
        assert.ok(saving.every((each) => each === least), `${loading}, then ${saving}`);
        assert.doesNotMatch(stderr, /refused/);
        fs.rmSync(place.files.report);
      }
    });

    test(
      "SIGTERM during a save that does not end: the server's status within the bound, and nothing half-saved",
      options,
      async () => {
        using fleet = new Fleet();
        // The children ask this Python for its packages; once the server is ready that takes for ever.
        const [python, ready, saving] = ["python3", "ready", "saving"].map((name) =>
          path.join(fleet.base, name)
        );
        const script =
          `#!/bin/sh\n[ -e ${ready} ] || exit 1\necho > ${saving}; exec sleep 40 > /dev/null 2>&1\n`;
        fs.writeFileSync(python ?? "", script, { mode: 0o755 });
        const place = await placeOn(fleet, "one", { B10_CACHE_PYTHON: python ?? "" });
        await using served = serve(target, place);
        await waitUntil(() => (readStart(place)?.load ?? null) !== null, "the load is over");
        fs.writeFileSync(ready ?? "", "");
        await waitForFile(saving ?? "");
        const startedMs = performance.now();
        served.kill("SIGTERM");
        const ended = await served.ended();
        const tookMs = performance.now() - startedMs;
        assert.equal(ended.code, 0, ended.stderr);
        // 5 s for the save to finish, and 7 s at most for its child to obey.
        assert.ok(tookMs < 14_000, `${tookMs} ms`);
        assert.equal(ended.start.save?.code, "interrupted");
        assert.ok(!fs.existsSync(fleet.storeDir) || storeFiles(fleet, ".json").length === 0);
      },
    );

    test("SIGTERM while nothing is saved: the server's status at once", options, async () => {
      using fleet = new Fleet();
      const place = await placeOn(fleet, "one", { B10_CACHE_QUIET_S: "60" });
      await using served = serve(target, place);
      await waitUntil(() => (readStart(place)?.ready_s ?? null) !== null, "the server is ready");
      const startedMs = performance.now();
      served.kill("SIGTERM");
      const ended = await served.ended();
      assert.equal(ended.code, 0, ended.stderr);
      assert.ok(performance.now() - startedMs < 2_000);
      assert.equal(ended.start.saves, 0);
    });
  });
}
