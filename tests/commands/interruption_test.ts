import assert from "node:assert/strict";
import { test } from "node:test";
import { interruptible } from "../../lib/commands/interruption.ts";
import { CacheError } from "../../lib/errors.ts";
import type { System } from "../../lib/system.ts";
import { FakeClock } from "../fake_clock.ts";
import { fakeSystem, only } from "../fake_system.ts";

const about = { what: "the load", deadlineMs: 60_000, setting: "B10_CACHE_LOAD_TIMEOUT_S" };

/** A world whose signals the test sends. */
function world() {
  const clock = new FakeClock();
  let listening: { signals: readonly string[]; handler: (signal: string) => void } | undefined;
  const system = fakeSystem({
    clock,
    processes: only<System["processes"]>("processes", {
      onSignals: (signals, handler) => {
        assert.equal(listening, undefined);
        listening = { signals, handler };
        return () => {
          listening = undefined;
        };
      },
    }),
  });
  const send = (signal: string) => {
    const { signals, handler } = listening ?? assert.fail("nobody listens to signals");
    assert.ok(signals.includes(signal), `${signal} is not listened to`);
    handler(signal);
  };
  return { clock, system, send };
}

type World = ReturnType<typeof world>;

/** Afterwards no timer keeps the process alive, and a signal neither kills it nor starts anything. */
function assertLeftNothing({ clock, send }: World): void {
  for (const signal of ["SIGINT", "SIGTERM"]) send(signal);
  assert.equal(clock.sleeping, 0);
}

/** Works for `ms`, and takes `cleanUpMs` to tidy up once it is told to stop. */
function worker({ clock }: World, ms: number, cleanUpMs = 0) {
  return async (signal: AbortSignal): Promise<string> => {
    try {
      await clock.sleep(ms, signal);
      return "worked";
    } finally {
      if (signal.aborted) await clock.sleep(cleanUpMs);
    }
  };
}

/** A call on a hung share: it hears of no signal and never ends. */
function hang(): Promise<string> {
  return new Promise(() => {});
}

test("an operation that ends by itself is done, with its value", async () => {
  const w = world();
  assert.deepEqual(await w.clock.run(interruptible(w.system, about, worker(w, 59_999))), {
    kind: "done",
    value: "worked",
  });
  assertLeftNothing(w);
});

test("an operation that fails by itself has failed, with its error", async () => {
  const w = world();
  const error = new CacheError("store_io", "the share failed");
  assert.deepEqual(await interruptible(w.system, about, () => Promise.reject(error)), {
    kind: "failed",
    error,
  });
  assertLeftNothing(w);
});

for (const [signal, exitStatus] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  test(`${signal} aborts the operation, waits for it to clean up, and exits with ${exitStatus}`, async () => {
    const w = world();
    const ending = interruptible(w.system, about, worker(w, 30_000, 700));
    await w.clock.advance(1_000);
    w.send(signal);
    const ended = await w.clock.run(ending);
    assert.ok(ended.kind === "interrupted");
    assert.equal(ended.exitStatus, exitStatus);
    assert.equal(ended.error.code, "interrupted");
    assert.equal(ended.error.message, `the load was interrupted by ${signal}`);
    assert.equal(w.clock.monotonicMs(), 1_700);
    assertLeftNothing(w);
  });
}

test("an operation that was past its last step when the signal came is done all the same", async () => {
  const w = world();
  const ending = interruptible(w.system, about, async () => {
    await w.clock.sleep(2_000);
    return "committed";
  });
  await w.clock.advance(1_000);
  w.send("SIGTERM");
  assert.deepEqual(await w.clock.run(ending), { kind: "done", value: "committed" });
  assertLeftNothing(w);
});

test("an operation that hangs is left behind 5 s after a signal", async () => {
  const w = world();
  const ending = interruptible(w.system, about, hang);
  await w.clock.advance(1_000);
  w.send("SIGINT");
  const ended = await w.clock.run(ending);
  assert.ok(ended.kind === "interrupted");
  assert.equal(ended.exitStatus, 130);
  assert.equal(w.clock.monotonicMs(), 6_000);
  assertLeftNothing(w);
});

test("the deadline aborts the operation, which fails once it has cleaned up", async () => {
  const w = world();
  const ended = await w.clock.run(interruptible(w.system, about, worker(w, 90_000, 300)));
  assert.ok(ended.kind === "failed" && ended.error instanceof CacheError);
  assert.equal(ended.error.code, "deadline");
  assert.equal(
    ended.error.message,
    "the load was given up after 60 s, B10_CACHE_LOAD_TIMEOUT_S: the share hangs or is too slow",
  );
  assert.equal(w.clock.monotonicMs(), 60_300);
  assertLeftNothing(w);
});

test("an operation that hangs is left behind 5 s after its deadline", async () => {
  const w = world();
  const ended = await w.clock.run(interruptible(w.system, about, hang));
  assert.ok(ended.kind === "failed" && ended.error instanceof CacheError);
  assert.equal(ended.error.code, "deadline");
  assert.equal(w.clock.monotonicMs(), 65_000);
  assertLeftNothing(w);
});

test("an operation that ends well while it is told of its deadline is done", async () => {
  const w = world();
  const ended = await w.clock.run(interruptible(w.system, about, async () => {
    await w.clock.sleep(62_000);
    return "committed";
  }));
  assert.deepEqual(ended, { kind: "done", value: "committed" });
  assertLeftNothing(w);
});

test("a second signal changes the exit status, and nothing else", async () => {
  const w = world();
  const ending = interruptible(w.system, about, worker(w, 30_000, 700));
  await w.clock.advance(1_000);
  w.send("SIGINT");
  await w.clock.advance(100);
  w.send("SIGTERM");
  const ended = await w.clock.run(ending);
  assert.ok(ended.kind === "interrupted");
  assert.equal(ended.exitStatus, 143);
  assert.equal(w.clock.monotonicMs(), 1_700);
  assertLeftNothing(w);
});
