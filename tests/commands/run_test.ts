import assert from "node:assert/strict";
import { test } from "node:test";
import { failWith } from "../pods.ts";
import { type ChildPlan, gently, reportLine } from "./fake_world.ts";
import { after, command, nothingCompiled, run, start, unknownStart, well } from "./running.ts";

test("run loads, starts COMMAND, saves once its server is ready, and exits with COMMAND's status", async () => {
  const { world, status, report } = await run(
    { load: { afterMs: 500 }, readyAtMs: 8_000 },
    after(100_000, 42),
  );
  assert.equal(status, 42);
  assert.deepEqual(world.events, ["load", start, "save"]);
  assert.deepEqual(world.captured.map(({ atMs, timeoutMs }) => [atMs, timeoutMs]), [
    [0, 70_000],
    [13_500, 610_000],
  ]);
  assert.deepEqual(world.probes.map(({ atMs }) => atMs), [500, 2_500, 4_500, 6_500, 8_500]);
  assert.deepEqual(report, {
    ...unknownStart,
    ...nothingCompiled,
    load: well("load"),
    save: well("save"),
    saves: 1,
    verdict: "HIT",
    ready_s: 8,
    command_status: 42,
  });
  assert.equal(
    world.said.stderr,
    "b10-compile-cache: load SUCCESS: well\n" +
      "b10-compile-cache: cache HIT: ready after 8.00 s; nothing was compiled anew\n" +
      "b10-compile-cache: save SUCCESS: well\n",
  );
  assert.equal(world.clock.monotonicMs(), 100_000);
  assert.equal(world.clock.sleeping, 0);
});

test("COMMAND's exit status is run's, whatever it is", async () => {
  for (const expected of [0, 1, 2, 3, 64, 126, 127, 130, 137, 143, 255]) {
    const { status, report } = await run({ readyAtMs: 0 }, after(10_000, expected));
    assert.equal(status, expected);
    assert.equal(report["command_status"], expected);
  }
});

test("load and save are children that are told of COMMAND, whose Python decides the key", async () => {
  const { world } = await run({ readyAtMs: 0, flags: { key: "k" } }, after(10_000));
  const self = "/usr/bin/b10-compile-cache";
  assert.deepEqual(world.captured.map(({ argv }) => argv.join(" ")), [
    `${self} load --json --all-roots --key k --for-command vllm`,
    `${gently} ${self} save --json --all-roots --key k --for-command vllm`,
  ]);
});

const failedLoads:
  readonly (readonly [what: string, load: ChildPlan, startsAfterMs: number, code: string | undefined])[] = [
    ["finds nothing", { stdout: reportLine({ status: "DOES_NOT_EXIST" }) }, 0, undefined],
    ["fails", { stdout: reportLine({ status: "ERROR", code: "store_io" }), code: 1 }, 0, "store_io"],
    [
      "finds the cache switched off",
      { stdout: reportLine({ status: "ERROR", code: "disabled" }), code: 1 },
      0,
      "disabled",
    ],
    ["crashes", { stdout: "", code: 139, afterMs: 300 }, 300, "internal"],
    ["returns rubbish", { stdout: '{"status":"SUCCESS"}' }, 0, "internal"],
    ["cannot be started", { fails: "ENOENT" }, 0, "internal"],
    ["hangs", { hangs: true, deaf: true }, 70_000, "deadline"],
  ];

for (const [what, load, startsAfterMs, code] of failedLoads) {
  test(`COMMAND starts where the load ${what}`, async () => {
    const { world, status, report } = await run({ load, readyAtMs: 0 }, after(200_000, 7));
    assert.equal(status, 7);
    assert.deepEqual(world.events, ["load", start, "save"]);
    assert.equal(world.probes[0]?.atMs, startsAfterMs);
    assert.equal(world.captured[1]?.atMs, startsAfterMs + 5_000);
    assert.equal((report["load"] as { code?: string }).code, code);
    assert.equal(world.said.stderr.includes("error: load ERROR"), code !== undefined);
  });
}

test("COMMAND starts where the settings break a rule: without a cache, with a word on stderr", async () => {
  const env = { MAX_CACHE_SIZE_MB: "lots" };
  const { world, status, report } = await run({ env, readyAtMs: 0 }, after(10_000, 7));
  assert.equal(status, 7);
  assert.deepEqual(world.events, [start]);
  assert.deepEqual(world.probes, []);
  assert.match(
    world.said.stderr,
    /error: .*MAX_CACHE_SIZE_MB "lots".*; the command starts without a cache\n$/,
  );
  assert.deepEqual(report, { ...unknownStart, command_status: 7 });
});

test("COMMAND starts where nothing at all can be found out about the pod", async () => {
  const fs = { stat: () => Promise.reject(new Error("out of order")), isWritable: failWith("EIO") };
  const { world, status } = await run({ fs, readyAtMs: 0 }, after(10_000, 7));
  assert.equal(status, 7);
  assert.ok(world.events.includes(start));
});

const unstartable: readonly (readonly [code: string, status: number])[] = [
  ["ENOENT", 127],
  ["EACCES", 126],
  ["ENOEXEC", 126],
  ["EISDIR", 126],
  ["E2BIG", 126],
];

for (const [code, expected] of unstartable) {
  test(`a COMMAND that cannot be started, ${code}, exits with ${expected}`, async () => {
    const fails = () => Promise.reject(Object.assign(new Error("spawn"), { code }));
    const { world, status, report } = await run({ start: fails, readyAtMs: 0 }, () => Promise.resolve());
    assert.equal(status, expected);
    assert.deepEqual(world.events, ["load"]);
    assert.deepEqual(world.probes, []);
    assert.match(world.said.stderr, new RegExp(`error: Cannot start "vllm": ${code}\n$`));
    assert.deepEqual(report, { ...unknownStart, load: well("load"), command_status: expected });
  });
}

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  test(`${signal} before COMMAND starts ends run with ${expected}; COMMAND never starts`, async () => {
    const { world, status, report } = await run(
      { load: { hangs: true }, readyAtMs: 0 },
      async (world) => {
        await world.clock.advance(1_000);
        world.send(signal);
      },
    );
    assert.equal(status, expected);
    assert.deepEqual(world.events, ["load"]);
    assert.equal(world.clock.monotonicMs(), 1_000);
    assert.deepEqual([report["save"], report["command_status"]], [null, null]);
    assert.equal((report["load"] as { code?: string }).code, "interrupted");
  });
}

test("a signal before COMMAND starts is obeyed within 7 s where the load is stuck", async () => {
  const { world, status } = await run({ load: { hangs: true, deaf: true } }, async (world) => {
    await world.clock.advance(1_000);
    world.send("SIGTERM");
  });
  assert.equal(status, 143);
  assert.deepEqual(world.events, ["load"]);
  assert.equal(world.clock.monotonicMs(), 8_000);
});

test("a signal that comes when the load is as good as done still keeps COMMAND from starting", async () => {
  const { world, status } = await run({ load: { afterMs: 1_000, deaf: true } }, async (world) => {
    await world.clock.advance(999);
    world.send("SIGTERM");
  });
  assert.equal(status, 143);
  assert.equal(world.clock.monotonicMs(), 1_000);
  assert.deepEqual(world.events, ["load"]);
});

test("a signal that means no end does not keep COMMAND from starting, and does not reach it later", async () => {
  const { world, status } = await run({ load: { afterMs: 1_000 } }, async (world) => {
    for (const signal of ["SIGWINCH", "SIGCONT", "SIGUSR1"]) world.send(signal);
    await world.clock.advance(10_000);
    world.endCommand(0);
  });
  assert.equal(status, 0);
  assert.deepEqual(world.events, ["load", start]);
});

const every = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
  "SIGWINCH",
  "SIGALRM",
];

test("after COMMAND has started every signal is its own, and run goes on until it ends", async () => {
  const { world, status } = await run({ readyAtMs: 0 }, async (world) => {
    await world.clock.advance(6_000);
    for (const signal of every) world.send(signal);
    await world.clock.advance(60_000);
    world.endCommand(143);
  });
  assert.equal(status, 143);
  assert.deepEqual(world.events, ["load", start, "save", ...every.map((signal) => `${signal} to COMMAND`)]);
  assert.equal(world.clock.monotonicMs(), 66_000);
});

test("what a terminal sends to the whole job is not sent to COMMAND again", async () => {
  const { world } = await run({ stdinIsTerminal: true }, async (world) => {
    await world.clock.advance(1_000);
    for (const signal of every) world.send(signal);
    world.endCommand(0);
  });
  const sent = world.events.filter((event) => event.endsWith("to COMMAND")).map((event) =>
    event.split(" ")[0]
  );
  assert.deepEqual(sent, every.filter((signal) => !["SIGINT", "SIGQUIT", "SIGWINCH"].includes(signal)));
});

test("run listens to all that a program can be sent and can catch, and leaves stopping the job alone", async () => {
  await run({}, async (world) => {
    await world.clock.advance(1);
    const listens = new Set(world.listensTo);
    assert.ok(every.every((signal) => listens.has(signal)));
    for (const signal of ["SIGKILL", "SIGSTOP", "SIGTSTP", "SIGCHLD", "SIGPIPE"]) {
      assert.ok(!listens.has(signal), signal);
    }
    world.endCommand(0);
  });
});

test("nothing is saved before the server is ready and its caches are quiet", async () => {
  const { world, report } = await run({ readyAtMs: 50_000 }, async (world) => {
    await world.clock.advance(54_999);
    assert.deepEqual(world.events, ["load", start]);
    await world.clock.advance(1);
    assert.deepEqual(world.events, ["load", start, "save"]);
    world.endCommand(0);
  });
  assert.deepEqual(report["save"], well("save"));
  assert.equal(world.captured.length, 2);
});

test("the address that is probed follows COMMAND's own --host and --port", async () => {
  const words = [...command, "--host", "0.0.0.0", "--port=9000"];
  const { world } = await run({ readyAtMs: 0, command: words }, after(1_000));
  assert.deepEqual(world.probes.map(({ url }) => url), ["http://127.0.0.1:9000/v1/models"]);
});

test("a server that never is ready: nothing is saved, COMMAND goes on, and a word is said", async () => {
  const { world, status, report } = await run({ env: { B10_TRANSFER_TIMEOUT_S: "20" } }, after(100_000, 5));
  assert.equal(status, 5);
  assert.deepEqual(world.events, ["load", start]);
  const message =
    "the server did not answer at http://127.0.0.1:8000/v1/models within 20 s, so nothing is saved";
  assert.deepEqual(report["save"], {
    operation: "save",
    status: "ERROR",
    code: "deadline",
    elapsed_ms: 20_000,
    message,
  });
  assert.match(world.said.stderr, new RegExp(`warning: ${message}\n$`));
});

test("neither the log nor the report has what stands in the server's address beside origin and path", async () => {
  const url = "http://user:s3cret@10.0.0.7:9000/health?api_key=s3cret";
  const env = { B10_TRANSFER_TIMEOUT_S: "20", B10_TRANSFER_VLLM_URL: url };
  const { world, report } = await run({ env, command: ["serve"] }, after(100_000, 5));
  assert.equal(world.probes[0]?.url, url);
  assert.match(JSON.stringify(report), /did not answer at http:\/\/10\.0\.0\.7:9000\/health within/);
  assert.doesNotMatch(JSON.stringify(report) + world.said.stderr, /s3cret/);
});

test("on a pod that may not save a server that never is ready is no save that failed", async () => {
  for (const mayNot of [{ B10_CACHE_READ_ONLY: "1" }, { B10_CACHE_TRUSTED_KEYS_FILE: "/keys/trusted" }]) {
    const env = { B10_TRANSFER_TIMEOUT_S: "20", ...mayNot };
    const { world, report } = await run({ env }, after(100_000, 5));
    assert.equal(report["save"], null);
    assert.match(world.said.stderr, /warning: the server did not answer at .* within 20 s\n$/);
  }
});

test("COMMAND ends before its server is ready: nothing is saved, nothing is asked any more, no word", async () => {
  const { world, status, report } = await run({}, after(5_000, 1));
  assert.equal(status, 1);
  assert.equal(world.clock.monotonicMs(), 5_000);
  assert.equal(world.clock.sleeping, 0);
  assert.deepEqual(world.probes.map(({ atMs }) => atMs), [0, 2_000, 4_000]);
  assert.equal(report["save"], null);
  assert.equal(world.said.stderr, "b10-compile-cache: load SUCCESS: well\n");
});

test("COMMAND ends during a save, which gets 5 s more to finish", async () => {
  const { world, status, report } = await run({ readyAtMs: 0, save: { afterMs: 9_999 } }, after(10_000, 9));
  assert.equal(status, 9);
  assert.equal(world.clock.monotonicMs(), 14_999);
  assert.deepEqual(report["save"], well("save"));
});

test("COMMAND ends during a save that takes longer: that is told to stop, and its last words are reported", async () => {
  const { world, status, report } = await run({ readyAtMs: 0, save: { afterMs: 60_000 } }, after(10_000, 9));
  assert.equal(status, 9);
  assert.equal(world.clock.monotonicMs(), 15_000);
  assert.deepEqual(report["save"], {
    operation: "save",
    status: "ERROR",
    elapsed_ms: 84,
    message: "interrupted by SIGTERM",
    code: "interrupted",
  });
  assert.equal(world.clock.sleeping, 0);
});

test("COMMAND ends during a save that is stuck and cannot be told to stop: that is left behind 12 s later", async () => {
  const save: ChildPlan = { hangs: true, deaf: true };
  const { world, status, report } = await run({ readyAtMs: 0, save }, after(10_000, 9));
  assert.equal(status, 9);
  assert.equal(world.clock.monotonicMs(), 22_000);
  assert.equal((report["save"] as { code?: string }).code, "interrupted");
});

const failedSaves: readonly (readonly [ChildPlan, code: string])[] = [
  [{ stdout: reportLine({ operation: "save", status: "ERROR", code: "contended" }), code: 1 }, "contended"],
  [{ stdout: "rubbish" }, "internal"],
  [{ fails: "ENOMEM" }, "internal"],
  [{ hangs: true, deaf: true }, "deadline"],
];

test("a save that fails is said and reported, and changes nothing for COMMAND", async () => {
  for (const [save, code] of failedSaves) {
    const { world, status, report } = await run({ readyAtMs: 0, save }, after(1_000_000, 0));
    assert.equal(status, 0);
    assert.equal((report["save"] as { code?: string }).code, code);
    assert.match(world.said.stderr, /error: save ERROR/);
    assert.equal(world.clock.monotonicMs(), 1_000_000);
  }
});

test("a pod that is read-only loads, tells what the cache did, and does not save", async () => {
  for (const options of [{ flags: { readOnly: true } }, { env: { B10_CACHE_READ_ONLY: "yes" } }]) {
    const { world, status, report } = await run({ ...options, readyAtMs: 0 }, after(10_000, 3));
    assert.equal(status, 3);
    assert.deepEqual(world.events, ["load", start]);
    assert.deepEqual([report["verdict"], report["save"], report["saves"]], ["HIT", null, 0]);
  }
});

test("a report that cannot be written is an error on stderr, and COMMAND's status stays", async () => {
  const fs = { createFileSync: failWith("ENOSPC") };
  const { status, world } = await run({ fs, readyAtMs: 0 }, after(1_000, 6));
  assert.equal(status, 6);
  assert.match(world.said.stderr, /error: Cannot write "\/tmp\/report.json": ENOSPC\n/);
});

test("with --quiet only errors are said", async () => {
  const flags = { quiet: true };
  const silent = await run({ flags, readyAtMs: 0 }, after(10_000));
  assert.equal(silent.world.said.stderr, "");
  const save = {
    stdout: reportLine({ operation: "save", status: "ERROR", code: "store_io", message: "failed" }),
  };
  const loud = await run({ flags, readyAtMs: 0, save }, after(10_000));
  assert.equal(loud.world.said.stderr, "b10-compile-cache: error: save ERROR (store_io): failed\n");
});
