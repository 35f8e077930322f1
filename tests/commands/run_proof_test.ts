/** `run` from the readiness of its server on: quiet, what the cache did, the save, the watch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failWith } from "../pods.ts";
import {
  type ChildPlan,
  type FakeWorld,
  lastStartFile,
  reportLine,
  type WorldOptions,
} from "./fake_world.ts";
import { after, run, start } from "./running.ts";

const restoredFiles = ["vllm/graph", "inductor/aa/kernel.so", "triton/0/kernel.cubin"];

/** A load that restores 3,000 bytes of a cache whose first start took a minute. */
const restoring: ChildPlan = {
  stdout: `${
    JSON.stringify({
      operation: "load",
      status: "SUCCESS",
      content: "c0".repeat(32),
      cold_start_s: 60,
      elapsed_ms: 84,
      message: "well",
    })
  }\n`,
  does: (world) => {
    for (const file of restoredFiles) world.write(file);
  },
};

const missing: ChildPlan = { stdout: reportLine({ status: "DOES_NOT_EXIST", message: "none" }) };

const ready = { readyAtMs: 10_000 };

/** Files that appear at these times. */
function writing(times: readonly (readonly [atMs: number, file: string, size?: number])[]) {
  return async (world: FakeWorld): Promise<void> => {
    for (const [atMs, file, size] of times) {
      await world.clock.advance(atMs - world.clock.monotonicMs());
      world.write(file, size);
    }
  };
}

/** The files appear, and COMMAND ends at 100 s. */
function servingWith(times: readonly (readonly [atMs: number, file: string, size?: number])[]) {
  return async (world: FakeWorld): Promise<void> => {
    await writing(times)(world);
    await world.clock.advance(100_000 - world.clock.monotonicMs());
    world.endCommand(0);
  };
}

function saves(world: FakeWorld): { atMs: number; argv: string }[] {
  return world.captured.filter(({ argv }) => argv.includes("save")).map(({ atMs, argv }) => ({
    atMs,
    argv: argv.join(" "),
  }));
}

test("HIT: restored, and no file that the start made; what was won is told against the cold start", async () => {
  const { world, report } = await run({ ...ready, load: restoring }, servingWith([]));
  assert.deepEqual(
    [report["verdict"], report["restored_files"], report["restored_bytes"], report["new_files"]],
    ["HIT", 3, 3_000, 0],
  );
  assert.deepEqual([report["ready_s"], report["cold_start_s"], report["saved_s"]], [10, 60, 50]);
  assert.match(
    world.said.stderr,
    /: cache HIT: ready after 10\.00 s, 50\.00 s sooner than the cold start's 1 min 0 s; nothing was compiled anew\n/,
  );
  assert.ok(saves(world).every(({ argv }) => !argv.includes("--cold-start")));
});

test("PARTIAL: restored, and some was compiled anew", async () => {
  const made = servingWith([[12_000, "triton/1/late.cubin", 90_000]]);
  const { world, report } = await run({ ...ready, load: restoring }, made);
  assert.deepEqual([report["verdict"], report["new_files"], report["new_bytes"]], ["PARTIAL", 1, 90_000]);
  assert.match(world.said.stderr, /: cache PARTIAL: .*; 1 file, 90\.0 kB were compiled anew\n/);
});

test("INERT: restored, and compiled again all the same", async () => {
  const made = servingWith([[4_000, "inductor/bb/same.so", 100], [12_000, "triton/1/late.cubin", 200]]);
  const { world, report } = await run({ ...ready, load: restoring }, made);
  assert.deepEqual([report["verdict"], report["saved_s"]], ["INERT", 50]);
  assert.match(
    world.said.stderr,
    /: cache INERT: .*; 2 files, 300 B were compiled although 3\.00 kB had been restored: see explain\n/,
  );
});

test("a load that finds everything in place is a restore as well", async () => {
  const load = { ...restoring, stdout: reportLine({ status: "SKIPPED" }) };
  const { report } = await run({ ...ready, load }, servingWith([]));
  assert.equal(report["verdict"], "HIT");
});

test("COLD: nothing was restored, and the save keeps how long the start took", async () => {
  const made = servingWith([[4_000, "vllm/graph", 3_000]]);
  const { world, report } = await run({ ...ready, load: missing }, made);
  assert.deepEqual([report["verdict"], report["saved_s"]], ["COLD", null]);
  assert.match(world.said.stderr, /: cache COLD: ready after 10\.00 s; 1 file, 3\.00 kB were compiled\n/);
  assert.match(
    saves(world)[0]?.argv ?? "",
    / save --json --all-roots --cold-start 10\.00 --for-command vllm$/,
  );
});

test("only the first save of a cold start is told how long it took", async () => {
  const made = servingWith([[30_000, "vllm/more"]]);
  const { world } = await run({ ...ready, load: missing }, made);
  assert.deepEqual(saves(world).map(({ argv }) => argv.includes("--cold-start")), [true, false]);
});

test("a load that failed is no restore, and its start a cold one", async () => {
  const load = { stdout: reportLine({ status: "ERROR", code: "store_io" }), code: 1 };
  const { world, report } = await run({ ...ready, load }, servingWith([]));
  assert.equal(report["verdict"], "COLD");
  assert.match(saves(world)[0]?.argv ?? "", /--cold-start 10\.00/);
});

test("the save waits until no file has changed for B10_CACHE_QUIET_S", async () => {
  const env = { B10_CACHE_QUIET_S: "3" };
  const made = servingWith([[10_500, "vllm/a"], [12_500, "vllm/b"], [15_200, "vllm/a"]]);
  const { world } = await run({ ...ready, env }, made);
  // Seen at the looks that come next, at 11, 13 and 16 s.
  assert.equal(saves(world)[0]?.atMs, 19_000);
});

test("a file that goes away is a change as well", async () => {
  const { world } = await run({ ...ready, load: restoring }, async (world) => {
    await world.clock.advance(12_500);
    world.remove("vllm/graph");
    await after(50_000)(world);
  });
  assert.equal(saves(world)[0]?.atMs, 18_000);
});

test("caches that never go quiet are saved after B10_CACHE_QUIET_TIMEOUT_S", async () => {
  const env = { B10_CACHE_QUIET_TIMEOUT_S: "20", B10_CACHE_WATCH_S: "0" };
  const { world } = await run({ ...ready, env }, async (world) => {
    for (let atMs = 500; atMs < 60_000; atMs += 500) {
      await world.clock.advance(500);
      world.write("vllm/busy", atMs);
    }
    world.endCommand(0);
  });
  assert.deepEqual(saves(world).map(({ atMs }) => atMs), [30_000]);
});

test("without a quiet to wait for the save comes at once", async () => {
  for (const env of [{ B10_CACHE_QUIET_S: "0" }, { B10_CACHE_QUIET_TIMEOUT_S: "0" }]) {
    const { world } = await run({ ...ready, env }, servingWith([]));
    assert.equal(saves(world)[0]?.atMs, 10_000);
  }
});

test("what later requests compile is saved once it is quiet, each time", async () => {
  const made = servingWith([[30_000, "vllm/more"], [79_000, "vllm/more still"]]);
  const env = { B10_CACHE_WATCH_INTERVAL_S: "20" };
  const { world, report } = await run({ ...ready, env }, made);
  // Ready at 10, quiet at 15, looks at 35, quiet again at 40, looks at 60 and 80, quiet at 85.
  assert.deepEqual(saves(world).map(({ atMs }) => atMs), [15_000, 40_000, 85_000]);
  assert.equal(report["saves"], 3);
});

test("the proof is of the start: what later requests compile does not change it", async () => {
  const made = servingWith([[30_000, "vllm/more", 100_000]]);
  const { world, report } = await run({ ...ready, load: restoring }, made);
  assert.deepEqual([report["verdict"], report["saves"]], ["HIT", 2]);
  assert.equal(world.said.stderr.split("cache HIT").length, 2);
});

test("the watch of run ends after half an hour, or B10_CACHE_WATCH_S; automatic mode has its own test", async () => {
  for (
    const [env, lateMs] of [[{}, 1_815_001], [{ B10_CACHE_WATCH_S: "90" }, 105_001]] as const
  ) {
    const { world } = await run({ ...ready, env }, async (world) => {
      await writing([[lateMs, "vllm/too late"]])(world);
      await after(10_000_000)(world);
    });
    assert.equal(saves(world).length, 1);
    const inTime = await run({ ...ready, env }, async (world) => {
      await writing([[lateMs - 2, "vllm/in time"]])(world);
      await after(10_000_000)(world);
    });
    assert.equal(saves(inTime.world).length, 2);
  }
});

test("B10_CACHE_WATCH_S=0: one save, and nothing more is looked at", async () => {
  const env = { B10_CACHE_WATCH_S: "0" };
  const { world } = await run({ ...ready, env }, async (world) => {
    await world.clock.advance(20_000);
    assert.equal(world.clock.sleeping, 0);
    await servingWith([[30_000, "vllm/more"]])(world);
  });
  assert.equal(saves(world).length, 1);
});

test("a save that fails does not end the watch", async () => {
  const save = (number: number) =>
    number === 1 ? { stdout: reportLine({ operation: "save", status: "ERROR", code: "store_io" }) } : {};
  const { world, report } = await run({ ...ready, save }, servingWith([[30_000, "vllm/more"]]));
  assert.equal(saves(world).length, 2);
  assert.equal((report["save"] as { status: string }).status, "SUCCESS");
});

/** A moment of the start of which COMMAND's end or a signal is, and what was done by then. */
const phases: readonly (readonly [during: string, atMs: number, options: WorldOptions, events: string[]])[] =
  [
    ["wait for the server", 5_000, {}, []],
    ["wait for quiet", 12_000, {}, []],
    ["save", 16_000, { save: { afterMs: 3_000 } }, ["save"]],
    ["watch", 30_000, {}, ["save"]],
    ["wait for quiet of the watch", 77_000, {}, ["save"]],
    ["second save", 82_000, { save: { afterMs: 1_500 } }, ["save", "save"]],
  ];

const changing = writing([[40_000, "vllm/more"]]);

async function until(world: FakeWorld, atMs: number): Promise<void> {
  if (atMs > 40_000) await changing(world);
  await world.clock.advance(atMs - world.clock.monotonicMs());
}

for (const [during, atMs, options, events] of phases) {
  test(`COMMAND ends during the ${during}: its status is run's, at once or as soon as the save is done`, async () => {
    const { world, status, report } = await run({ ...ready, ...options }, async (world) => {
      await until(world, atMs);
      assert.deepEqual(world.events, ["load", start, ...events]);
      world.endCommand(9);
    });
    assert.equal(status, 9);
    assert.deepEqual(world.events, ["load", start, ...events]);
    assert.equal(report["saves"], events.length);
    const began = saves(world).at(-1)?.atMs ?? 0;
    const endMs = Math.max(
      atMs,
      began + (("afterMs" in (options.save ?? {})) ? (options.save as ChildPlan).afterMs ?? 0 : 0),
    );
    assert.equal(world.clock.monotonicMs(), endMs);
    assert.ok(!world.said.stderr.includes("error"), world.said.stderr);
  });

  test(`SIGTERM during the ${during} is COMMAND's, and changes nothing else until that has ended`, async () => {
    const { world, status } = await run({ ...ready, ...options }, async (world) => {
      await until(world, atMs);
      world.send("SIGTERM");
      await world.clock.advance(500);
      world.endCommand(143);
    });
    assert.equal(status, 143);
    assert.deepEqual(world.events, ["load", start, ...events, "SIGTERM to COMMAND"]);
    assert.ok(world.clock.monotonicMs() <= atMs + 2_000);
  });
}

test("COMMAND ends while a long save goes on in the watch: that has 5 s, and is told to stop", async () => {
  const save = (number: number) => number === 1 ? {} : { afterMs: 60_000 };
  const { world, report } = await run({ ...ready, save }, async (world) => {
    await until(world, 82_000);
    world.endCommand(9);
  });
  assert.equal(world.clock.monotonicMs(), 87_000);
  assert.equal((report["save"] as { code?: string }).code, "interrupted");
});

test("caches that cannot be looked at: no quiet, no proof, no watch, and the save all the same", async () => {
  const { world, report } = await run({ ...ready, fs: { list: failWith("EIO") } }, servingWith([]));
  assert.deepEqual(saves(world).map(({ atMs, argv }) => [atMs, argv.includes("--cold-start")]), [[
    10_000,
    false,
  ]]);
  assert.deepEqual([report["verdict"], report["ready_s"], report["saves"]], [null, 10, 1]);
  assert.match(world.said.stderr, /warning: whether the cache helps cannot be told: .*EIO/);
});

/** Directories that can be listed until the time comes. */
function listedUntil(untilMs: number): { fs: WorldOptions["fs"]; bind: (world: FakeWorld) => void } {
  let bound: FakeWorld | undefined;
  return {
    fs: {
      list: () => {
        if ((bound?.clock.monotonicMs() ?? 0) >= untilMs) failWith("EIO")();
        return Promise.resolve([]);
      },
    },
    bind: (world) => bound = world,
  };
}

test("caches that cannot be looked at any more once the server is ready: saved at once, with a word", async () => {
  const { fs, bind } = listedUntil(12_000);
  const { world, report, status } = await run({ ...ready, fs: fs ?? {} }, async (world) => {
    bind(world);
    await servingWith([])(world);
  });
  assert.equal(status, 0);
  assert.deepEqual(saves(world).map(({ atMs }) => atMs), [12_000]);
  assert.equal(report["verdict"], null);
  assert.match(world.said.stderr, /warning: whether the caches are quiet cannot be told: .*EIO/);
});

test("caches that cannot be looked at any more during the watch end it, with a word", async () => {
  const { fs, bind } = listedUntil(50_000);
  const { world, report, status } = await run({ ...ready, fs: fs ?? {} }, async (world) => {
    bind(world);
    await servingWith([])(world);
  });
  assert.equal(status, 0);
  assert.deepEqual([report["verdict"], report["saves"]], ["HIT", 1]);
  assert.match(world.said.stderr, /warning: what later requests compile is not saved: .*EIO/);
  assert.ok(!world.said.stderr.includes("error"));
});

test("a start is kept for status in this pod's own state, and --metrics-file has it as Prometheus text", async () => {
  const runFlags = { metricsFile: "/tmp/metrics.prom", report: "/tmp/report.json" };
  const { world, report } = await run({ ...ready, load: restoring, runFlags }, servingWith([]));
  assert.deepEqual(world.readJson(lastStartFile), report);
  const metrics = world.written.get("/tmp/metrics.prom") ?? "";
  assert.match(metrics, /^b10_compile_cache_verdict\{verdict="HIT"\} 1$/m);
  assert.match(metrics, /^b10_compile_cache_saved_seconds 50$/m);
});

test("the metrics are there as soon as each is known", async () => {
  const runFlags = { metricsFile: "/tmp/metrics.prom" };
  const metrics = (world: FakeWorld) => world.written.get("/tmp/metrics.prom") ?? "";
  await run({ ...ready, load: restoring, runFlags }, async (world) => {
    await world.clock.advance(1_000);
    assert.match(metrics(world), /^b10_compile_cache_load_status\{status="SUCCESS"\} 1$/m);
    assert.ok(!metrics(world).includes("ready_seconds"));
    await world.clock.advance(10_000);
    assert.match(metrics(world), /^b10_compile_cache_ready_seconds 10$/m);
    assert.ok(!metrics(world).includes("verdict"));
    await world.clock.advance(10_000);
    assert.match(metrics(world), /^b10_compile_cache_verdict\{verdict="HIT"\} 1$/m);
    assert.match(metrics(world), /^b10_compile_cache_saves 1$/m);
    world.endCommand(0);
  });
});

test("metrics that cannot be written are an error that is said once, and change nothing", async () => {
  const runFlags = { metricsFile: "/nowhere/metrics.prom" };
  const { world, status } = await run(
    { ...ready, load: restoring, runFlags, unwritable: "/nowhere/" },
    servingWith([]),
  );
  assert.equal(status, 0);
  assert.equal(saves(world).length, 1);
  assert.equal(world.said.stderr.split('Cannot write "/nowhere/metrics.prom": ENOENT').length, 2);
});

test("--vllm and --root say which caches a start is about", async () => {
  const runFlags = { vllm: true, root: ["kernels=/tmp/kernels"] };
  const { world } = await run({ ...ready, runFlags }, servingWith([[4_000, "inductor/not watched"]]));
  assert.deepEqual(
    world.captured.map(({ argv }) => argv.slice(argv.indexOf("--json")).join(" ")),
    [
      "--json --vllm --root kernels=/tmp/kernels --for-command vllm",
      "--json --vllm --root kernels=/tmp/kernels --for-command vllm",
    ],
  );
});
