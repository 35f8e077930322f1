import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { type Sweep, sweepUnfinished } from "../lib/cleanup.ts";
import { atEveryCall, failWith, intercept, realFiles, withDirectory, writeFiles } from "./pods.ts";

const maxAgeMs = 60_000;

function sweepOf(dir: string): Sweep {
  let count = 0;
  return {
    dir,
    isUnfinished: (name) => name.startsWith("unfinished-"),
    fresh: path.join(dir, "fresh"),
    maxAgeMs,
    awayName: () => `unfinished-away-${++count}`,
  };
}

/** The file system's clock is a day behind this machine's. */
const freshMs = Date.now() - 24 * 60 * 60 * 1000;

/** Gives what lies in `dir` these ages, as measured against the file `fresh`. */
function setAges(dir: string, agesMs: Readonly<Record<string, number>>): void {
  for (const [name, ageMs] of Object.entries({ fresh: 0, ...agesMs })) {
    const timeS = (freshMs - ageMs) / 1000;
    fs.utimesSync(path.join(dir, name), timeS, timeS);
  }
}

/** Two pieces of old work, one that is young, and things that are none. */
function fill(dir: string): void {
  writeFiles(dir, {
    fresh: "",
    "unfinished-old": "half",
    "unfinished-dir/deep/file": "half",
    "unfinished-young": "half",
    "unfinished-future": "half",
    "finished-old": "whole",
  });
  setAges(dir, {
    "unfinished-old": maxAgeMs + 1,
    "unfinished-dir": 100 * maxAgeMs,
    "unfinished-young": maxAgeMs,
    "unfinished-future": -maxAgeMs,
    "finished-old": 100 * maxAgeMs,
  });
}

const kept = ["finished-old", "fresh", "unfinished-future", "unfinished-young"];

test("sweepUnfinished() removes what is older than the limit by the clock of the file system itself", () =>
  withDirectory(async (dir) => {
    fill(dir);
    assert.equal(await sweepUnfinished(realFiles, sweepOf(dir)), 2);
    assert.deepEqual(fs.readdirSync(dir).sort(), kept);
  }));

test("it renames away before it removes, so that nobody meets a part of it", () =>
  withDirectory(async (dir) => {
    fill(dir);
    const moved: string[] = [];
    const files = intercept(realFiles, ({ name, args }) => {
      if (name === "rename") moved.push(path.basename(String(args[0])));
      if (["unlink", "rmdir"].includes(name)) assert.match(String(args[0]), /unfinished-away-/);
    });
    await sweepUnfinished(files, sweepOf(dir));
    assert.deepEqual(moved.sort(), ["unfinished-dir", "unfinished-old"]);
  }));

test("a symlink is removed, and what it leads to is not", () =>
  withDirectory(async (dir) => {
    writeFiles(dir, { fresh: "", "outside/canary": "alive" });
    fs.symlinkSync(path.join(dir, "outside"), path.join(dir, "unfinished-link"));
    fs.lutimesSync(path.join(dir, "unfinished-link"), 0, 0);
    assert.equal(await sweepUnfinished(realFiles, sweepOf(dir)), 1);
    assert.equal(fs.readFileSync(path.join(dir, "outside/canary"), "utf8"), "alive");
  }));

test("whichever call fails it does not throw, touches nothing else, and the next sweep ends it", () =>
  atEveryCall((point) =>
    withDirectory(async (dir) => {
      fill(dir);
      await sweepUnfinished(intercept(realFiles, point.once(failWith("EIO"))), sweepOf(dir));
      const left = fs.readdirSync(dir);
      for (const name of kept) assert.ok(left.includes(name), name);
      // What was renamed away keeps its time, so it is old still.
      for (const name of left) {
        if (name.startsWith("unfinished-away-")) setAges(dir, { [name]: 100 * maxAgeMs });
      }
      await sweepUnfinished(realFiles, {
        ...sweepOf(dir),
        awayName: () => `unfinished-again-${Math.random()}`,
      });
      assert.deepEqual(fs.readdirSync(dir).sort(), kept);
    })
  ).then((calls) => assert.ok(calls.length > 8)));
