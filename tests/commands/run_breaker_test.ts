/** `run` where COMMAND dies: the circuit breaker, and the one retry. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChildPlan, type FakeWorld, reportLine } from "./fake_world.ts";
import { after, run, type RunOptions, start } from "./running.ts";

const content = "c0".repeat(32);

function loading(fields: object): ChildPlan {
  const report = { operation: "load", status: "SUCCESS", elapsed_ms: 84, message: "well", ...fields };
  return { stdout: `${JSON.stringify(report)}\n`, does: (world) => world.write("vllm/graph", 3_000) };
}

const restoring = loading({ content, generation: 4, cold_start_s: 60 });
const clear: ChildPlan = { does: (world) => world.emptyCaches() };
const suspect = { load: restoring, clear, suspect: { stdout: reportLine({ operation: "suspect" }) } };

function optionsOf(world: FakeWorld, operation: string): string[] {
  return world.captured.flatMap(({ argv }) =>
    argv.includes(operation) ? [argv.slice(argv.indexOf(operation)).join(" ")] : []
  );
}

for (const status of ["SUCCESS", "SKIPPED"]) {
  test(`a death before the server is ready accuses what a load that was ${status} had restored`, async () => {
    const load = loading({ content, status });
    const { world, status: exited } = await run({ ...suspect, load }, after(5_000, 1));
    assert.equal(exited, 1);
    assert.deepEqual(world.events, ["load", start, "suspect"]);
    assert.deepEqual(optionsOf(world, "suspect"), [
      `suspect --json --all-roots --content ${content} --for-command vllm`,
    ]);
    assert.equal(world.captured.at(-1)?.timeoutMs, 70_000);
    assert.match(
      world.said.stderr,
      /warning: the command died after a restore, before it was ready: .* suspect/,
    );
  });
}

test("whatever it dies of by itself", async () => {
  for (const status of [1, 3, 134, 137, 139, 255]) {
    const { world, status: exited } = await run(suspect, after(5_000, status));
    assert.equal(exited, status);
    assert.ok(world.events.includes("suspect"), String(status));
  }
});

const innocent:
  readonly (readonly [what: string, options: RunOptions, meanwhile: (world: FakeWorld) => Promise<void>])[] =
    [
      ["that ends well", suspect, after(5_000, 0)],
      ["whose command line is wrong", suspect, after(5_000, 2)],
      ["that was not executable", suspect, after(5_000, 126)],
      ["that was not found", suspect, after(5_000, 127)],
      ["that had been ready", { ...suspect, readyAtMs: 2_000 }, after(60_000, 1)],
      ["that had just been ready", { ...suspect, readyAtMs: 4_000 }, after(4_500, 1)],
      [
        "after a load that found nothing",
        { ...suspect, load: loading({ status: "DOES_NOT_EXIST" }) },
        after(5_000, 1),
      ],
      [
        "after a load that failed",
        { ...suspect, load: loading({ status: "ERROR", code: "store_io" }) },
        after(5_000, 1),
      ],
      [
        "after a load of another program's archive",
        { ...suspect, load: loading({ origin: "b10-transfer" }) },
        after(5_000, 1),
      ],
      [
        "that never got ready in all the time it had",
        { ...suspect, env: { B10_TRANSFER_TIMEOUT_S: "20" } },
        after(20_000, 1),
      ],
      ["where the settings are wrong", { ...suspect, env: { MAX_CACHE_SIZE_MB: "lots" } }, after(5_000, 1)],
    ];

for (const [what, options, meanwhile] of innocent) {
  test(`a COMMAND ${what} accuses nobody, and is not retried`, async () => {
    const { world } = await run({ ...options, runFlags: { retryCold: true } }, meanwhile);
    assert.ok(!world.events.includes("suspect"));
    assert.equal(world.events.filter((event) => event === start).length, 1);
    assert.ok(!world.events.includes("clear"));
  });
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]) {
  test(`a COMMAND that was told to end by ${signal} accuses nobody, and is not retried`, async () => {
    const { world } = await run({ ...suspect, runFlags: { retryCold: true } }, async (world) => {
      await world.clock.advance(4_000);
      world.send(signal);
      await world.clock.advance(1_000);
      world.endCommand(1);
    });
    assert.deepEqual(world.events, ["load", start, `${signal} to COMMAND`]);
  });
}

test("a signal that means no end does not excuse a death", async () => {
  const { world } = await run(suspect, async (world) => {
    await world.clock.advance(1_000);
    world.send("SIGUSR1");
    await after(5_000, 1)(world);
  });
  assert.equal(world.events.at(-1), "suspect");
});

test("a death 1 ms before its time was up accuses", async () => {
  const env = { B10_TRANSFER_TIMEOUT_S: "20" };
  const { world } = await run({ ...suspect, env }, after(19_999, 1));
  assert.equal(world.events.at(-1), "suspect");
});

test("an accusation that fails, or hangs, is said, and COMMAND's status stays", async () => {
  const failing: readonly (readonly [ChildPlan, endMs: number])[] = [
    [{ stdout: reportLine({ operation: "suspect", status: "ERROR", code: "store_io" }), code: 1 }, 5_000],
    [{ fails: "EAGAIN" }, 5_000],
    [{ hangs: true, deaf: true }, 75_000],
  ];
  for (const [plan, endMs] of failing) {
    const { world, status } = await run({ ...suspect, suspect: plan }, after(5_000, 3));
    assert.equal(status, 3);
    assert.match(world.said.stderr, /error: suspect ERROR/);
    assert.equal(world.clock.monotonicMs(), endMs);
  }
});

/** COMMAND dies at 5 s, is started once more, compiles, and ends at 100 s. */
async function dyingOnce(world: FakeWorld, status = 0): Promise<void> {
  await after(5_000, 1)(world);
  await world.clock.advance(3_000);
  world.write("vllm/anew", 2_000);
  await after(92_000, status)(world);
}

const retrying = { ...suspect, readyAtMs: 20_000, runFlags: { retryCold: true } };

test("--retry-cold: the caches are emptied, COMMAND is started once more, and its status wins", async () => {
  const { world, status, report } = await run(retrying, (world) => dyingOnce(world, 42));
  assert.equal(status, 42);
  assert.deepEqual(world.events, ["load", start, "suspect", "clear", start, "save"]);
  assert.deepEqual(optionsOf(world, "clear"), ["clear --json --all-roots --for-command vllm"]);
  assert.equal(report["command_status"], 42);
  assert.equal((report["load"] as { status: string }).status, "DOES_NOT_EXIST");
  assert.match(world.said.stderr, /warning: the caches are emptied, and the command is started once more\n/);
});

test("--retry-cold: a start without a cache is COLD, timed by itself, and replaces the suspect", async () => {
  const { world, report } = await run(retrying, dyingOnce);
  assert.deepEqual([report["verdict"], report["new_files"], report["ready_s"], report["saved_s"]], [
    "COLD",
    1,
    16,
    null,
  ]);
  assert.deepEqual(optionsOf(world, "save"), [
    `save --json --all-roots --cold-start 16.00 --replaced-suspect ${content} --for-command vllm`,
  ]);
});

test("--retry-cold: COMMAND dies again, and is not started a third time, nor is anybody accused twice", async () => {
  const { world, status } = await run(retrying, async (world) => {
    await after(5_000, 1)(world);
    await after(5_000, 7)(world);
  });
  assert.equal(status, 7);
  assert.deepEqual(world.events, ["load", start, "suspect", "clear", start]);
});

test("without --retry-cold COMMAND is not started again", async () => {
  const { world, status } = await run({ ...retrying, runFlags: {} }, after(5_000, 3));
  assert.equal(status, 3);
  assert.deepEqual(world.events, ["load", start, "suspect"]);
});

test("--retry-cold goes on where nobody could be accused, or the caches not be emptied", async () => {
  const error = (operation: string) => ({
    stdout: reportLine({ operation, status: "ERROR", code: "store_io" }),
    code: 1,
  });
  for (const failing of [{ suspect: error("suspect") }, { clear: error("clear") }]) {
    const { world, status } = await run({ ...retrying, ...failing }, dyingOnce);
    assert.equal(status, 0);
    assert.deepEqual(world.events, ["load", start, "suspect", "clear", start, "save"]);
  }
});

test("a signal after the retry is COMMAND's", async () => {
  const { world, status } = await run(retrying, async (world) => {
    await after(5_000, 1)(world);
    await world.clock.advance(2_000);
    world.send("SIGTERM");
    await after(1_000, 143)(world);
  });
  assert.equal(status, 143);
  assert.deepEqual(world.events, ["load", start, "suspect", "clear", start, "SIGTERM to COMMAND"]);
});

for (const during of ["suspect", "clear"]) {
  test(`SIGTERM during ${during}, when no COMMAND runs: it is not started again, and nobody else is sent it`, async () => {
    const { world, status } = await run({ ...retrying, [during]: { hangs: true } }, async (world) => {
      await after(5_000, 3)(world);
      await world.clock.advance(2_000);
      world.send("SIGTERM");
    });
    assert.equal(status, 3);
    assert.equal(world.events.at(-1), during);
    assert.equal(world.clock.monotonicMs(), 7_000);
  });
}

test("where a later load has passed over a suspect, the save replaces it once the server is ready", async () => {
  const load = { stdout: loading({ status: "DOES_NOT_EXIST", suspect: content }).stdout ?? "" };
  const { world } = await run({ load, readyAtMs: 10_000 }, after(60_000));
  assert.deepEqual(optionsOf(world, "save"), [
    `save --json --all-roots --cold-start 10.00 --replaced-suspect ${content} --for-command vllm`,
  ]);
});
