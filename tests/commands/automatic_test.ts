import assert from "node:assert/strict";
import { test } from "node:test";
import { automaticCommand, type AutomaticFlags } from "../../lib/commands/automatic.ts";
import { FakeWorld, gently, lastStartFile, reportLine, type WorldOptions } from "./fake_world.ts";
import { nothingCompiled, unknownStart } from "./running.ts";

const ready = { readyAtMs: 6_000 };

interface Outcome {
  readonly world: FakeWorld;
  readonly status: number;
  /** With --json: the one object on stdout. */
  readonly report: Record<string, unknown>;
}

/** Runs automatic mode to its end, and `meanwhile` beside it. */
async function automatic(
  options: WorldOptions & { readonly own?: AutomaticFlags },
  meanwhile: (world: FakeWorld) => Promise<void> = () => Promise.resolve(),
): Promise<Outcome> {
  const world = new FakeWorld({ flags: { json: true }, ...options });
  const ending = automaticCommand(await world.context(), { ...options.flags, ...options.own });
  await meanwhile(world);
  const status = await world.clock.run(ending);
  assert.deepEqual(world.listensTo, [], "it still listens to signals");
  assert.equal(world.clock.sleeping, 0, "somebody still sleeps");
  const [line = "", ...more] = world.said.stdout.split("\n");
  assert.deepEqual(more, [""], "one line on stdout");
  return { world, status, report: JSON.parse(line) };
}

test("automatic mode loads, waits for the server, saves, and exits with 0", async () => {
  const { world, status, report } = await automatic({ ...ready, save: { afterMs: 3_000 } });
  assert.equal(status, 0);
  assert.deepEqual(world.events, ["load", "save"]);
  assert.deepEqual(world.captured.map(({ atMs, timeoutMs }) => [atMs, timeoutMs]), [
    [0, 70_000],
    [11_000, 610_000],
  ]);
  assert.deepEqual(world.probes.map(({ atMs }) => atMs), [0, 2_000, 4_000, 6_000]);
  assert.deepEqual(report, {
    ...unknownStart,
    ...nothingCompiled,
    operation: "automatic",
    status: "SUCCESS",
    elapsed_ms: 14_000,
    verdict: "HIT",
    ready_s: 6,
    saves: 1,
    load: { operation: "load", status: "SUCCESS", elapsed_ms: 84, message: "well" },
    save: { operation: "save", status: "SUCCESS", elapsed_ms: 84, message: "well" },
    message: "load SUCCESS; save SUCCESS: well",
  });
});

const error = (code: string) =>
  ({
    stdout: reportLine({ status: "ERROR", code: code as "internal", message: "failed" }),
    code: 1,
  }) as const;
const said = (status: "SKIPPED" | "DOES_NOT_EXIST") => ({ stdout: reportLine({ status, message: status }) });

/** What happens, the exit status, the report's own status and code, and what was done. */
const endings: readonly (readonly [
  what: string,
  options: WorldOptions,
  exit: number,
  status: string,
  code: string | undefined,
  events: string,
])[] = [
  ["nothing to load", { ...ready, load: said("DOES_NOT_EXIST") }, 0, "SUCCESS", undefined, "load save"],
  ["everything there already", { ...ready, load: said("SKIPPED") }, 0, "SUCCESS", undefined, "load save"],
  ["nothing to save", { ...ready, save: said("SKIPPED") }, 0, "SKIPPED", undefined, "load save"],
  ["a load that fails", { ...ready, load: error("store_io") }, 0, "SUCCESS", undefined, "load save"],
  [
    "a load that hangs",
    { ...ready, load: { hangs: true, deaf: true } },
    0,
    "SUCCESS",
    undefined,
    "load save",
  ],
  ["a load of rubbish", { ...ready, load: { stdout: "?" } }, 0, "SUCCESS", undefined, "load save"],
  ["a load that cannot start", { ...ready, load: { fails: "EAGAIN" } }, 0, "SUCCESS", undefined, "load save"],
  [
    "a store that is not mounted",
    { ...ready, load: error("store_not_mounted") },
    0,
    "SUCCESS",
    undefined,
    "load save",
  ],
  ["a cache that is off", { ...ready, load: error("disabled") }, 1, "ERROR", "disabled", "load"],
  ["a broken setting", { ...ready, load: error("bad_setting") }, 1, "ERROR", "bad_setting", "load"],
  [
    "a path elsewhere",
    { ...ready, load: error("path_outside_prefix") },
    1,
    "ERROR",
    "path_outside_prefix",
    "load",
  ],
  ["overlapping paths", { ...ready, load: error("paths_overlap") }, 1, "ERROR", "paths_overlap", "load"],
  ["a server that never is ready", {}, 2, "ERROR", "deadline", "load"],
  ["a save that fails", { ...ready, save: error("store_io") }, 3, "ERROR", "store_io", "load save"],
  ["a save that hangs", { ...ready, save: { hangs: true, deaf: true } }, 3, "ERROR", "deadline", "load save"],
  ["a save of rubbish", { ...ready, save: { stdout: "" } }, 3, "ERROR", "internal", "load save"],
];

for (const [what, options, exit, status, code, events] of endings) {
  test(`automatic mode with ${what} exits with ${exit}`, async () => {
    const { world, status: exited, report } = await automatic(options);
    assert.equal(exited, exit);
    assert.equal(report["operation"], "automatic");
    assert.equal(report["status"], status);
    assert.equal(report["code"], code);
    assert.equal(world.events.join(" "), events);
    assert.equal(report["save"] !== null, world.events.includes("save"));
  });
}

test("a miss exits with 4 where --fail-on-miss asks for that, without waiting for the server", async () => {
  const flags = { json: true, failOnMiss: true };
  const { status, world, report } = await automatic({ ...ready, flags, load: said("DOES_NOT_EXIST") });
  assert.equal(status, 4);
  assert.equal(report["status"], "DOES_NOT_EXIST");
  assert.deepEqual(world.probes, []);
  for (const load of [said("SKIPPED"), error("store_io"), {}]) {
    assert.equal((await automatic({ ...ready, flags, load })).status, 0);
  }
});

test("the server is waited for as long as the settings say, at the address they name", async () => {
  const env = {
    B10_TRANSFER_VLLM_URL: "http://user:s3cret@10.0.0.7:9000/health?api_key=s3cret",
    B10_TRANSFER_TIMEOUT_S: "30",
    B10_TRANSFER_INTERVAL_S: "10",
  };
  const { status, world, report } = await automatic({ env });
  assert.equal(status, 2);
  assert.equal(world.clock.monotonicMs(), 30_000);
  assert.deepEqual(world.probes.map(({ atMs }) => atMs), [0, 10_000, 20_000]);
  assert.ok(world.probes.every(({ url }) => url.startsWith("http://user:s3cret@10.0.0.7:9000/health?")));
  assert.equal(
    report["message"],
    "the server did not answer at http://10.0.0.7:9000/health within 30 s, B10_TRANSFER_TIMEOUT_S",
  );
});

test("the deadlines of load and save are the settings'", async () => {
  const env = { B10_CACHE_LOAD_TIMEOUT_S: "5", B10_CACHE_SAVE_TIMEOUT_S: "7.5" };
  const { world } = await automatic({ ...ready, env });
  assert.deepEqual(world.captured.map(({ timeoutMs }) => timeoutMs), [15_000, 17_500]);
});

test("settings that break a rule are an ERROR, exit status 1, and nothing is started", async () => {
  const { status, world, report } = await automatic({ ...ready, env: { B10_TRANSFER_INTERVAL_S: "soon" } });
  assert.equal(status, 1);
  assert.equal(report["code"], "bad_setting");
  assert.match(String(report["message"]), /B10_TRANSFER_INTERVAL_S "soon"/);
  assert.deepEqual([world.events, world.probes], [[], []]);
});

const moments: readonly (readonly [during: string, options: WorldOptions, events: string])[] = [
  ["load", { load: { hangs: true } }, "load"],
  ["wait for the server", {}, "load"],
  ["wait for quiet", { readyAtMs: 5_000 }, "load"],
  [
    "save",
    { readyAtMs: 0, env: { B10_CACHE_QUIET_S: "1" }, save: { hangs: true } },
    "load save",
  ],
  [
    "watch",
    { readyAtMs: 0, env: { B10_CACHE_QUIET_S: "0", B10_CACHE_WATCH_S: "100" } },
    "load save",
  ],
];

for (const [signal, exit] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  for (const [during, options, events] of moments) {
    test(`${signal} during the ${during} ends automatic mode with ${exit}, at once`, async () => {
      const { world, status, report } = await automatic(options, async (world) => {
        await world.clock.advance(5_000);
        world.send(signal);
      });
      assert.equal(status, exit);
      assert.equal(report["status"], "ERROR");
      assert.equal(report["code"], "interrupted");
      assert.equal(report["message"], `interrupted by ${signal}`);
      assert.equal(world.events.join(" "), events);
      assert.ok(!world.said.stderr.includes("load ERROR"), "the report says it all");
      assert.equal(world.clock.monotonicMs(), 5_000);
    });
  }
}

test("a signal is obeyed within 7 s where the child is stuck", async () => {
  const { world, status, report } = await automatic({ load: { hangs: true, deaf: true } }, async (world) => {
    await world.clock.advance(5_000);
    world.send("SIGTERM");
  });
  assert.equal(status, 143);
  assert.equal(report["code"], "interrupted");
  assert.equal(world.clock.monotonicMs(), 12_000);
});

test("without --json the result is a line of text on stdout, and how it came to it on stderr", async () => {
  const world = new FakeWorld({ ...ready, flags: {} });
  assert.equal(await world.clock.run(automaticCommand(await world.context(), {})), 0);
  assert.equal(world.said.stdout, "automatic SUCCESS: load SUCCESS; save SUCCESS: well\n");
  assert.equal(
    world.said.stderr,
    "b10-compile-cache: load SUCCESS: well\n" +
      "b10-compile-cache: cache HIT: ready after 6.00 s; nothing was compiled anew\n" +
      "b10-compile-cache: save SUCCESS: well\n",
  );
});

test("without --json an ERROR goes to stderr, and stdout stays empty", async () => {
  const world = new FakeWorld({ load: error("disabled"), flags: { quiet: true } });
  assert.equal(await world.clock.run(automaticCommand(await world.context(), {})), 1);
  assert.equal(world.said.stdout, "");
  assert.match(world.said.stderr, /error: automatic ERROR \(disabled\): failed\n$/);
});

test("a load or a save that fails is an error on stderr at once, also with --quiet", async () => {
  for (const flags of [{}, { quiet: true }]) {
    const world = new FakeWorld({ ...ready, load: error("store_io"), save: error("contended"), flags });
    assert.equal(await world.clock.run(automaticCommand(await world.context(), flags)), 3);
    assert.match(world.said.stderr, /error: load ERROR \(store_io\): failed\n/);
    assert.match(world.said.stderr, /error: load ERROR \(contended\): failed\n/);
  }
});

test("load and save are of every cache of the pod, the save gently", async () => {
  const { world } = await automatic({ ...ready, own: { root: ["kernels=/tmp/kernels"] } });
  const self = "/usr/bin/b10-compile-cache";
  const roots = "--json --all-roots --root kernels=/tmp/kernels";
  assert.deepEqual(world.captured.map(({ argv }) => argv.join(" ")), [
    `${self} load ${roots}`,
    `${gently} ${self} save ${roots}`,
  ]);
});

/** The server compiles this at 3 s, and at 20 s more. */
async function compiling(world: FakeWorld): Promise<void> {
  await world.clock.advance(3_000);
  world.write("vllm/graph", 5_000);
  await world.clock.advance(17_000);
  world.write("vllm/later");
}

test("what the cache did is in the report, in the metrics, and kept for status", async () => {
  const own = { metricsFile: "/tmp/metrics.prom" };
  const { world, report } = await automatic({ ...ready, load: said("DOES_NOT_EXIST"), own }, compiling);
  assert.deepEqual(
    [report["verdict"], report["new_files"], report["ready_s"], report["saved_s"], report["saves"]],
    ["COLD", 1, 6, null, 1],
  );
  assert.match(world.said.stderr, /: cache COLD: ready after 6\.00 s; 1 file, 5\.00 kB were compiled\n/);
  assert.match(world.captured.at(-1)?.argv.join(" ") ?? "", / --cold-start 6\.00$/);
  assert.equal(world.readJson(lastStartFile)["verdict"], "COLD");
  assert.match(
    world.written.get("/tmp/metrics.prom") ?? "",
    /^b10_compile_cache_verdict\{verdict="COLD"\} 1$/m,
  );
});

test("it ends with its save; B10_CACHE_WATCH_S keeps it for what later requests compile", async () => {
  const short = await automatic(ready, compiling);
  assert.equal(short.world.events.join(" "), "load save");
  const env = { B10_CACHE_WATCH_S: "100", B10_CACHE_WATCH_INTERVAL_S: "10" };
  const { world, report } = await automatic({ ...ready, env }, compiling);
  assert.equal(world.events.join(" "), "load save save");
  assert.equal(report["saves"], 2);
  // The quiet after it was ready, and the watch.
  assert.equal(world.clock.monotonicMs(), 11_000 + 100_000);
});

test("a pod that may not save waits for its server to tell what the cache did, and says why it saves nothing", async () => {
  const reasons: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ B10_CACHE_READ_ONLY: "1" }, "B10_CACHE_READ_ONLY is on"],
    [{ B10_CACHE_TRUSTED_KEYS_FILE: "/keys/trusted" }, "B10_CACHE_TRUSTED_KEYS_FILE demands signatures"],
  ];
  for (const [env, reason] of reasons) {
    const { world, status, report } = await automatic({ ...ready, env });
    assert.equal(status, 0);
    assert.deepEqual(world.events, ["load"]);
    assert.deepEqual([report["status"], report["verdict"], report["save"]], ["SKIPPED", "HIT", null]);
    assert.ok(String(report["message"]).includes(`save SKIPPED: ${reason}`), String(report["message"]));
  }
});

test("metrics that cannot be written change no exit status", async () => {
  const own = { metricsFile: "/nowhere/metrics.prom" };
  const { world, status } = await automatic({ ...ready, own, unwritable: "/nowhere/" });
  assert.equal(status, 0);
  assert.equal(world.said.stderr.split('Cannot write "/nowhere/metrics.prom": ENOENT').length, 2);
});

test("a server that dies is nothing that automatic mode sees: nobody is accused", async () => {
  const content = `${JSON.stringify({ ...JSON.parse(reportLine({})), content: "c0".repeat(32) })}\n`;
  const { status, world } = await automatic({ load: { stdout: content } });
  assert.equal(status, 2);
  assert.deepEqual(world.events, ["load"]);
});
