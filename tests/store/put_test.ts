import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import {
  type CommitWay,
  holdIfAbsent,
  linkBack,
  putIfAbsent,
  readPut,
  removePut,
  removePutAway,
} from "../../lib/store/put.ts";
import { modesAfter, type Share } from "../../lib/store/share.ts";
import type { FileSystem } from "../../lib/system.ts";
import { realSystem } from "../../lib/system/real.ts";
import { intercept } from "../pods.ts";
import { failEachCall, Faults, withoutFsync, withoutLinks } from "./faults.ts";

const { fs: realFs } = realSystem();
const bytesOf = (text: string) => new TextEncoder().encode(text);

interface Bench {
  readonly share: Share;
  readonly way: CommitWay;
  /** Where something lies in the test's directory. */
  readonly at: (name: string) => string;
  /** The names in the test's directory. */
  readonly names: () => string[];
}

/** Runs `act` for both ways of putting, each on a file system that has no more than it. */
async function bothWays(
  act: (bench: Bench) => Promise<void>,
  over?: (fs: FileSystem) => FileSystem,
): Promise<void> {
  for (const way of ["link", "rename"] as const) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-put-"));
    try {
      const files = way === "link" ? realFs : withoutLinks(realFs);
      const modes = modesAfter(await realFs.stat(dir));
      await act({
        share: { fs: over ? over(files) : files, modes },
        way,
        at: (name) => path.join(dir, name),
        names: () => fs.readdirSync(dir).toSorted(),
      });
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  }
}

function put({ at, way }: Bench, text: string, temporary = "temporary") {
  return { path: at("name"), bytes: bytesOf(text), temporary: at(temporary), way };
}

async function textAt({ share, at }: Bench, name = "name"): Promise<string | undefined> {
  const bytes = await readPut(share, at(name), 1024);
  return bytes && Buffer.from(bytes).toString();
}

test("holdIfAbsent() gives a name to a file that its maker goes on appending to", () =>
  bothWays(async (bench) => {
    const file = await holdIfAbsent(bench.share, put(bench, "first")) ?? assert.fail("the name is taken");
    assert.equal(await textAt(bench), "first");
    await file.append(bytesOf(" second"));
    assert.equal(await textAt(bench), "first second");
    await file.close();
    assert.deepEqual(bench.names(), ["name"]);
    const stat = fs.statSync(bench.at(bench.way === "link" ? "name" : "name/content"));
    assert.equal(stat.mode & 0o7777, bench.share.modes.file);
  }));

test("holdIfAbsent() takes no name that is taken, and leaves nothing", async () => {
  await using faults = new Faults();
  await bothWays(async (bench) => {
    const first = await holdIfAbsent(bench.share, put(bench, "first"));
    assert.equal(faults.openFiles, 1);
    assert.equal(await holdIfAbsent(bench.share, put(bench, "second", "another")), undefined);
    assert.equal(await putIfAbsent(bench.share, put(bench, "third", "another")), "taken");
    assert.equal(faults.openFiles, 1);
    assert.deepEqual(bench.names(), ["name"]);
    assert.equal(await textAt(bench), "first");
    await first?.close();
  }, faults.over);
});

test("whichever call of holdIfAbsent() fails, nothing stays open, and what is there is whole", async () => {
  const failed = await failEachCall("EIO", async (faults, arm) => {
    await bothWays(async (bench) => {
      arm();
      const file = await holdIfAbsent(bench.share, put(bench, "whole")).catch(() => undefined);
      faults.heal();
      assert.equal(faults.openFiles, file ? 1 : 0, faults.last);
      await file?.close();
      const text = await textAt(bench);
      if (file || text !== undefined) assert.equal(text, "whole", faults.last);
      const isCleanUp = faults.last === "unlink" || faults.last === "rmdir";
      if (!isCleanUp) assert.deepEqual(bench.names().filter((name) => name !== "name"), [], faults.last);
    }, (over) => faults.over(withoutFsync(over)));
  });
  assert.ok(failed > 4, `only ${failed} calls were made to fail`);
});

test("what gets a name is whole and flushed before, and the name is flushed after a put", () =>
  bothWays(async (bench) => {
    const calls: string[] = [];
    const recorded: Share = {
      ...bench.share,
      fs: intercept(bench.share.fs, ({ name }) => {
        if (["append", "sync", "link", "rename", "syncDirectory"].includes(name)) calls.push(name);
      }),
    };
    const naming = bench.way;
    const file = await holdIfAbsent(recorded, put(bench, "held"));
    await file?.close();
    assert.deepEqual(calls, ["append", "sync", naming]);
    calls.length = 0;
    await putIfAbsent(recorded, { ...put(bench, "put"), path: bench.at("another") });
    const flushed = bench.way === "link" ? ["append", "sync"] : ["append", "sync", "syncDirectory"];
    assert.deepEqual(calls, [...flushed, naming, "syncDirectory"]);
  }));

test("removePut() removes what was put, and a name that is not there is as good", () =>
  bothWays(async (bench) => {
    await putIfAbsent(bench.share, put(bench, "x"));
    for (let again = 0; again < 2; again++) {
      await removePut(bench.share, bench.at("name"));
      assert.deepEqual(bench.names(), []);
    }
  }));

test("removePutAway() renames before it removes: between the two the name is free", () =>
  bothWays(async (bench) => {
    await putIfAbsent(bench.share, put(bench, "x"));
    const stopped: Share = {
      ...bench.share,
      fs: { ...bench.share.fs, unlink: () => Promise.reject(new Error("the process was stopped")) },
    };
    await removePutAway(stopped, bench.at("name"), bench.at("away"));
    assert.deepEqual(bench.names(), ["away"]);
    assert.equal(await textAt(bench, "away"), "x");
    // Gone is as good.
    await removePutAway(bench.share, bench.at("name"), bench.at("elsewhere"));
    assert.deepEqual(bench.names(), ["away"]);
  }));

test("linkBack() gives a name back, unless it was taken by then", () =>
  bothWays(async (bench) => {
    const { share, at, way } = bench;
    await putIfAbsent(share, put(bench, "mine"));
    await share.fs.rename(at("name"), at("moved"));
    await linkBack(share, { from: at("moved"), to: at("name"), way });
    assert.equal(await textAt(bench), "mine");
    await putIfAbsent(share, { ...put(bench, "another's"), path: at("moved again") });
    await linkBack(share, { from: at("moved again"), to: at("name"), way });
    assert.equal(await textAt(bench), "mine");
    assert.equal(await textAt(bench, "moved again"), "another's");
  }));
