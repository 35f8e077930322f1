import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bounded, bounded, type Running } from "../../lib/commands/bounded.ts";
import { CacheError, errorCodes } from "../../lib/errors.ts";
import type { Report } from "../../lib/status.ts";
import { FakeWorld, type WorldOptions } from "./fake_world.ts";

const report: Report = { operation: "verify", status: "SUCCESS", elapsed_ms: 84, message: "well" };

interface Ended {
  readonly world: FakeWorld;
  readonly status: number;
  /** The one object on stdout. */
  readonly report: Report;
}

/** Runs `work` to its end, in a world whose time is the test's; `meanwhile` is done while it runs. */
async function end(
  work: Partial<Bounded>,
  options: WorldOptions = {},
  meanwhile: (world: FakeWorld) => Promise<void> = () => Promise.resolve(),
): Promise<Ended> {
  const world = new FakeWorld({ ...options, flags: { json: true, ...options.flags } });
  const whole: Bounded = {
    operation: "verify",
    deadline: "maintenance",
    act: () => Promise.resolve(report),
    ...work,
  };
  const ending = bounded(await world.context(), whole);
  await meanwhile(world);
  const status = await world.clock.run(ending);
  // Until the process ends a signal neither kills it nor changes what it has said.
  for (const signal of world.listensTo) world.send(signal);
  assert.equal(world.clock.sleeping, 0);
  assert.match(world.said.stdout, /^[^\n]+\n$/);
  return { world, status, report: JSON.parse(world.said.stdout) };
}

/** A call on a hung share: it hears of no signal and never ends. */
const hang = (): Promise<Report> => new Promise(() => {});

test("what the act reports is printed as it is, with the exit status that it stands for", async () => {
  const ended = await end({});
  assert.deepEqual([ended.status, ended.report], [0, report]);
  const skipped: Report = { ...report, status: "SKIPPED" };
  assert.equal((await end({ act: () => Promise.resolve(skipped) })).status, 0);
  const failed: Report = { ...report, status: "ERROR", code: "bad_layer" };
  assert.equal((await end({ act: () => Promise.resolve(failed) })).status, 1);
});

test("where there is nothing the exit status is 0, or 4 with --fail-on-miss", async () => {
  const act = () => Promise.resolve<Report>({ ...report, status: "DOES_NOT_EXIST" });
  assert.equal((await end({ act })).status, 0);
  assert.equal((await end({ act }, { flags: { failOnMiss: true } })).status, 4);
});

test("for people a result goes to stdout and an error to stderr", async () => {
  const world = new FakeWorld();
  const work = { operation: "verify", deadline: "maintenance" } as const;
  assert.equal(await bounded(await world.context(), { ...work, act: () => Promise.resolve(report) }), 0);
  assert.deepEqual(world.said, { stdout: "verify SUCCESS: well\n", stderr: "" });
  const failing = new FakeWorld();
  const act = () => Promise.reject(new CacheError("store_io", "the share failed"));
  assert.equal(await bounded(await failing.context(), { ...work, act }), 1);
  assert.deepEqual(failing.said, {
    stdout: "",
    stderr: "b10-compile-cache: error: verify ERROR (store_io): the share failed\n",
  });
});

test("a CacheError is an ERROR of its code, and anything else one of this program", async () => {
  for (const code of errorCodes) {
    const ended = await end({ act: () => Promise.reject(new CacheError(code, "why")) });
    assert.deepEqual([ended.status, ended.report], [1, {
      operation: "verify",
      status: "ERROR",
      code,
      elapsed_ms: 0,
      message: "why",
    }]);
  }
  const defect = await end({ act: () => Promise.reject(new TypeError("x is undefined")) });
  assert.deepEqual([defect.report.code, defect.report.message], ["internal", "x is undefined"]);
});

const deadlines = [
  ["load", "B10_CACHE_LOAD_TIMEOUT_S", 60],
  ["save", "B10_CACHE_SAVE_TIMEOUT_S", 600],
  ["maintenance", "B10_CACHE_MAINTENANCE_TIMEOUT_S", 3600],
] as const;

for (const [deadline, setting, byDefaultS] of deadlines) {
  test(`the deadline of a ${deadline} is ${setting}, also where the act never ends`, async () => {
    for (const [env, limitS] of [[{}, byDefaultS], [{ [setting]: "17.5" }, 17.5]] as const) {
      const ended = await end({ operation: "work", deadline, act: hang }, { env });
      assert.equal(ended.status, 1);
      assert.deepEqual(ended.report, {
        operation: "work",
        status: "ERROR",
        code: "deadline",
        elapsed_ms: (limitS + 5) * 1000,
        message: `the work was given up after ${limitS} s, ${setting}: the share hangs or is too slow`,
      });
    }
  });
}

test("an act that hears of its deadline ends at it, and its own signal says why", async () => {
  let reason: unknown;
  const act = ({ signal }: Running) =>
    new Promise<Report>((_, reject) =>
      signal.addEventListener("abort", () => {
        reason = signal.reason;
        reject(signal.reason);
      })
    );
  const ended = await end({ act }, { env: { B10_CACHE_MAINTENANCE_TIMEOUT_S: "30" } });
  assert.deepEqual([ended.status, ended.report.code, ended.report.elapsed_ms], [1, "deadline", 30_000]);
  assert.ok(reason instanceof CacheError && reason.code === "deadline");
});

test("the time counts from the start, before the settings are read", async () => {
  const slow = new FakeWorld({
    flags: { json: true },
    fs: {
      isWritable: async () => {
        await slow.clock.sleep(2_000);
        return true;
      },
    },
  });
  let elapsedMs = 0;
  const act = async (running: Running): Promise<Report> => {
    await slow.clock.sleep(500);
    elapsedMs = running.elapsedMs();
    throw new CacheError("store_io", "the share failed");
  };
  const work: Bounded = { operation: "verify", deadline: "maintenance", act };
  assert.equal(await slow.clock.run(bounded(await slow.context(), work)), 1);
  assert.equal(elapsedMs, 2_500);
  assert.equal(JSON.parse(slow.said.stdout).elapsed_ms, 2_500);
});

for (const [signal, exitStatus] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  const message = `the verify was interrupted by ${signal}`;

  test(`${signal} ends an act with ${exitStatus}, once it has cleaned up`, async () => {
    const cleanedUp: string[] = [];
    const act = async ({ signal: aborted }: Running): Promise<Report> => {
      await new Promise((resolve) => aborted.addEventListener("abort", resolve));
      cleanedUp.push("cleaned up");
      throw aborted.reason;
    };
    const ended = await end({ act }, {}, async (world) => {
      await world.clock.advance(1_000);
      world.send(signal);
    });
    assert.equal(ended.status, exitStatus);
    const expected: Report = {
      operation: "verify",
      status: "ERROR",
      code: "interrupted",
      elapsed_ms: 1_000,
      message,
    };
    assert.deepEqual(ended.report, expected);
    assert.deepEqual(cleanedUp, ["cleaned up"]);
  });

  test(`${signal} ends an act that hangs with ${exitStatus}, and with what is known`, async () => {
    const ended = await end({ act: hang, known: () => ({ key: "3f" }) }, {}, async (world) => {
      await world.clock.advance(1_000);
      world.send(signal);
    });
    assert.equal(ended.status, exitStatus);
    assert.deepEqual(
      [ended.report.code, ended.report.message, ended.report["key"], ended.report.elapsed_ms],
      ["interrupted", message, "3f", 6_000],
    );
  });
}

test("an act that was past its last step when the signal came keeps its own status", async () => {
  const ended = await end(
    {
      act: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(report))),
    },
    {},
    async (world) => {
      await world.clock.advance(1_000);
      world.send("SIGTERM");
    },
  );
  assert.deepEqual([ended.status, ended.report], [0, report]);
});

test("what was found out before a failure is part of its report, and hides nothing of it", async () => {
  let key: string | undefined;
  const ended = await end({
    known: () => ({
      ...(key === undefined ? {} : { key }),
      status: "SUCCESS",
      code: "internal",
      message: "?",
    }),
    act: () => {
      key = "3f";
      return Promise.reject(new CacheError("store_io", "the share failed"));
    },
  });
  assert.deepEqual(ended.report, {
    key: "3f",
    operation: "verify",
    status: "ERROR",
    code: "store_io",
    elapsed_ms: 0,
    message: "the share failed",
  });
});

test("what is known is part of no report of an act that went well", async () => {
  assert.deepEqual((await end({ known: () => ({ key: "3f" }) })).report, report);
});

test("a bad setting is an ERROR before the act begins, with what is known, and no signal is listened to", async () => {
  let acts = 0;
  const work: Partial<Bounded> = {
    known: () => ({ shared: true }),
    act: () => {
      acts++;
      return Promise.resolve(report);
    },
  };
  for (const setting of ["B10_CACHE_MAINTENANCE_TIMEOUT_S", "MAX_CACHE_SIZE_MB"]) {
    const ended = await end(work, { env: { [setting]: "soon" } });
    assert.equal(ended.status, 1);
    assert.equal(ended.report.code, "bad_setting");
    assert.equal(ended.report["shared"], true);
    assert.match(ended.report.message, new RegExp(`^Cannot use ${setting} "soon" as it must `));
  }
  const flag = await end(work, { flags: { namespace: "-" } });
  assert.deepEqual([flag.status, flag.report.code], [1, "bad_setting"]);
  assert.equal(acts, 0);
});
