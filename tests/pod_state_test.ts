import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { parseKey } from "../lib/key.ts";
import { PodState, type RecordSubject } from "../lib/pod_state.ts";
import type { RestoredFile, RestoredFiles } from "../lib/restored_record.ts";
import type { FileSystem } from "../lib/system.ts";
import {
  atEveryCall,
  countingRandom,
  describeTree,
  failure,
  failWith,
  intercept,
  key,
  realFiles,
  withDirectory,
  writeFiles,
} from "./pods.ts";
import { syncFiles } from "./sync_files.ts";

const subject: RecordSubject = {
  storeId: "00112233445566778899aabbccddeeff",
  key,
  roots: [{ name: "inductor", dir: "/tmp/torchinductor_root" }],
};

function restored(digit: string, stat: Partial<RestoredFile["stat"]> = {}): RestoredFile {
  return {
    sha256: digit.repeat(64),
    stat: {
      ino: 12n,
      size: 345,
      mtimeNs: 1_600_000_000_000_000_250n,
      ctimeNs: 1_700_000_000_000_000_001n,
      ...stat,
    },
  };
}

const one: RestoredFiles = new Map([["inductor/a/one", restored("1")]]);
const two: RestoredFiles = new Map([["inductor/two", restored("2")], ["vllm/three", restored("3")]]);

// One source of names for all, as each pod's are its own.
const random = countingRandom();

function stateIn(dir: string, files: FileSystem = realFiles): PodState {
  return new PodState({ fs: files, random }, dir);
}

/** The one record in `dir`. */
function recordIn(dir: string): string {
  const [name, ...others] = fs.readdirSync(dir);
  assert.deepEqual(others, []);
  return path.join(dir, name ?? assert.fail("there is no record"));
}

test("what was noted is read back, by whichever process comes next", () =>
  withDirectory(async (dir) => {
    assert.deepEqual(await stateIn(dir).restored(subject), new Map());
    await stateIn(dir).noteRestored(subject, two);
    assert.deepEqual(await stateIn(dir).restored(subject), two);
  }));

test("every fact is read back exactly, whatever it is", () =>
  withDirectory(async (dir) => {
    const facts: RestoredFiles = new Map([
      ["inductor/before 1970", restored("4", { mtimeNs: -1n, ctimeNs: -6_000_000_000_000_000_001n })],
      [
        "inductor/huge",
        restored("5", { ino: 2n ** 64n - 1n, size: Number.MAX_SAFE_INTEGER, mtimeNs: 2n ** 63n - 1n }),
      ],
      ["inductor/empty", restored("6", { ino: 0n, size: 0, mtimeNs: 0n, ctimeNs: 0n })],
      ['inductor/"quoted"\n\u202e/\\/ä', restored("7")],
      ["vllm/__proto__", restored("8")],
    ]);
    await stateIn(dir).noteRestored(subject, facts);
    assert.deepEqual(await stateIn(dir).restored(subject), facts);
  }));

test("any files that a file system can hold are read back exactly", () =>
  withDirectory(async (dir) => {
    const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const file = fc.record({
      sha256: fc.string(),
      stat: fc.record({
        ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        size: fc.maxSafeNat(),
        mtimeNs: int64,
        ctimeNs: int64,
      }, { noNullPrototype: true }),
    }, { noNullPrototype: true });
    const files = fc.array(fc.tuple(fc.string({ unit: "grapheme" }).map((name) => `inductor/${name}`), file));
    await fc.assert(fc.asyncProperty(files, async (entries) => {
      const state = stateIn(dir, syncFiles);
      await state.forget();
      await state.noteRestored(subject, new Map(entries));
      assert.deepEqual(await state.restored(subject), new Map(entries));
    }));
  }));

test("a second load adds to the record, and replaces what it restored anew", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    await state.noteRestored(subject, one);
    await state.noteRestored(subject, two);
    assert.deepEqual(await state.restored(subject), new Map([...one, ...two]));
    const anew = restored("9", { ino: 99n });
    await state.noteRestored(subject, new Map([["inductor/two", anew]]));
    assert.deepEqual(await state.restored(subject), new Map([...one, ...two, ["inductor/two", anew]]));
    await state.noteRestored(subject, new Map());
    assert.equal((await state.restored(subject)).size, 3);
  }));

const root = { name: "inductor", dir: "/tmp/torchinductor_root" };

const otherSubjects: Readonly<Record<string, RecordSubject>> = {
  "another store": { ...subject, storeId: "f".repeat(32) },
  "another key": { ...subject, key: parseKey("another", "key") },
  "no roots": { ...subject, roots: [] },
  "another root's name": { ...subject, roots: [{ ...root, name: "vllm" }] },
  "another directory": { ...subject, roots: [{ ...root, dir: "/tmp/other" }] },
  "one root more": { ...subject, roots: [root, { name: "vllm", dir: "/tmp/vllm" }] },
};

for (const [what, other] of Object.entries(otherSubjects)) {
  test(`of ${what} nothing is known, and each keeps its own record`, () =>
    withDirectory(async (dir) => {
      const state = stateIn(dir);
      await state.noteRestored(subject, one);
      assert.deepEqual(await state.restored(other), new Map());
      await state.noteRestored(other, two);
      assert.deepEqual(await state.restored(subject), one);
      assert.deepEqual(await state.restored(other), two);
    }));
}

test("a record under another subject's name is not believed", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    await state.noteRestored(subject, one);
    const record = recordIn(dir);
    const bytes = fs.readFileSync(record);
    await state.forget();
    await state.noteRestored({ ...subject, roots: [] }, two);
    fs.writeFileSync(recordIn(dir), bytes);
    assert.deepEqual(await state.restored({ ...subject, roots: [] }), new Map());
  }));

test("a record is for its user alone, and nothing else lies beside it", () =>
  withDirectory(async (dir) => {
    for (const files of [one, two]) {
      await stateIn(dir).noteRestored(subject, files);
      assert.equal(fs.statSync(recordIn(dir)).mode & 0o7777, 0o600);
      assert.match(path.basename(recordIn(dir)), /^restored-[0-9a-f]{32}\.json$/);
    }
  }));

test("a record that is torn at any length means that nothing is known, and the next load starts it anew", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir, syncFiles);
    await state.noteRestored(subject, two);
    const record = recordIn(dir);
    const bytes = fs.readFileSync(record);
    for (let length = 0; length < bytes.length; length++) {
      fs.writeFileSync(record, bytes.subarray(0, length));
      assert.deepEqual(await state.restored(subject), new Map(), `${length} bytes`);
    }
    await state.noteRestored(subject, one);
    assert.deepEqual(await state.restored(subject), one);
  }));

test("a record that says something else means that nothing is known", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir, syncFiles);
    await state.noteRestored(subject, one);
    const record = recordIn(dir);
    const right = JSON.parse(fs.readFileSync(record, "utf8"));
    const [digest] = right.sha256;
    const bytes = Buffer.from(right.versions, "base64");
    const wrong: readonly unknown[] = [
      null,
      [],
      "record",
      7,
      {},
      { ...right, format: 1 },
      { ...right, format: "2" },
      { ...right, subject: `${right.subject} ` },
      { ...right, subject: JSON.parse(right.subject) },
      { ...right, note: "of a newer program" },
      { ...right, paths: "inductor/a/one" },
      { ...right, paths: [] },
      { ...right, paths: [...right.paths, "inductor/a/more"] },
      { ...right, paths: [null] },
      { ...right, sha256: digest },
      { ...right, sha256: [] },
      { ...right, sha256: [digest, digest] },
      { ...right, sha256: [1] },
      { ...right, versions: "" },
      { ...right, versions: null },
      { ...right, versions: `-${right.versions.slice(1)}` },
      { ...right, versions: bytes.subarray(0, -1).toString("base64") },
      { ...right, versions: Buffer.concat([bytes, bytes]).toString("base64") },
      { ...right, paths: undefined },
      { ...right, versions: undefined },
      // As it was before format 2.
      { format: 1, subject: right.subject, files: { "inductor/a/one": [digest, "12", 345, "1", "2"] } },
    ];
    for (const value of wrong) {
      fs.writeFileSync(record, JSON.stringify(value));
      assert.deepEqual(await state.restored(subject), new Map(), JSON.stringify(value));
    }
    fs.writeFileSync(record, Uint8Array.of(0xff, 0x00, 0x7b));
    assert.deepEqual(await state.restored(subject), new Map());
    fs.writeFileSync(record, JSON.stringify(right));
    assert.deepEqual(await state.restored(subject), one);
  }));

const c0 = "c0".repeat(32);
const d1 = "d1".repeat(32);

test("a suspect is known to whichever process comes next, for its user alone, and beside the records", () =>
  withDirectory(async (dir) => {
    assert.deepEqual(await stateIn(dir).suspects(), new Set());
    await stateIn(dir).noteRestored(subject, one);
    for (const content of [c0, d1, c0]) await stateIn(dir).noteSuspect(content);
    assert.deepEqual(await stateIn(dir).suspects(), new Set([d1, c0]));
    assert.equal(fs.statSync(path.join(dir, "suspects.json")).mode & 0o7777, 0o600);
    assert.equal(fs.readdirSync(dir).length, 2);
    assert.deepEqual(await stateIn(dir).restored(subject), one);
  }));

test("the newest twenty suspects are kept", () =>
  withDirectory(async (dir) => {
    const contents = Array.from({ length: 25 }, (_, at) => String(at).padStart(64, "0"));
    for (const content of contents) await stateIn(dir, syncFiles).noteSuspect(content);
    assert.deepEqual([...await stateIn(dir).suspects()], contents.slice(5));
    // Noted again it is the newest.
    await stateIn(dir).noteSuspect(contents[5] ?? "");
    await stateIn(dir).noteSuspect(c0);
    assert.deepEqual([...await stateIn(dir).suspects()], [...contents.slice(7), contents[5], c0]);
  }));

test("forget(), which clear calls, acquits nobody", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, one);
    await stateIn(dir).noteSuspect(c0);
    await stateIn(dir).forget();
    assert.deepEqual(fs.readdirSync(dir), ["suspects.json"]);
    assert.deepEqual(await stateIn(dir).suspects(), new Set([c0]));
  }));

test("suspects that are torn at any length, or say something else, accuse nobody, and are written anew", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir, syncFiles);
    await state.noteSuspect(c0);
    const file = path.join(dir, "suspects.json");
    const text = fs.readFileSync(file, "utf8");
    const wrong = [
      ...Array.from({ length: text.length }, (_, length) => text.slice(0, length)),
      ...["null", "[]", "{}", '{"format":2,"contents":[]}', '{"format":1,"contents":"c0"}'],
      ...['{"format":1,"contents":[1]}', '{"format":1,"contents":[],"note":"of a newer program"}'],
    ];
    for (const each of wrong) {
      fs.writeFileSync(file, each);
      assert.deepEqual(await state.suspects(), new Set(), each);
    }
    await state.noteSuspect(d1);
    assert.deepEqual(await state.suspects(), new Set([d1]));
  }));

test("suspects that cannot be read accuse nobody; one that cannot be written is an error of this pod's disk", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteSuspect(c0);
    const calls = await atEveryCall(async (point) => {
      const known = await stateIn(dir, intercept(realFiles, point.once(failWith("EIO")))).suspects();
      assert.deepEqual(known, new Set(point.reached ? [] : [c0]));
    });
    assert.deepEqual(calls, ["open", "stat", "read", "close"]);
    for (const name of ["append", "rename"]) {
      const files = intercept(realFiles, (call) => {
        if (call.name === name) throw failure("ENOSPC");
      });
      await assert.rejects(stateIn(dir, files).noteSuspect(d1), { code: "ENOSPC" });
      assert.deepEqual(fs.readdirSync(dir), ["suspects.json"]);
    }
    await assert.rejects(stateIn(path.join(dir, "absent")).noteSuspect(d1), { code: "ENOENT" });
    assert.deepEqual(await stateIn(dir).suspects(), new Set([c0]));
  }));

test("a record that is read in pieces is whole", () =>
  withDirectory(async (dir) => {
    const slow: FileSystem = {
      ...realFiles,
      open: async (file, mode) => {
        const opened = await realFiles.open(file, mode);
        return { ...opened, read: (into, position) => opened.read(into.subarray(0, 7), position) };
      },
    };
    await stateIn(dir).noteRestored(subject, two);
    assert.deepEqual(await stateIn(dir, slow).restored(subject), two);
  }));

test("a record that shrinks while it is read means that nothing is known", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, two);
    const shrinking: FileSystem = {
      ...realFiles,
      open: async (file, mode) => ({ ...await realFiles.open(file, mode), read: () => Promise.resolve(0) }),
    };
    assert.deepEqual(await stateIn(dir, shrinking).restored(subject), new Map());
  }));

test("forget() removes every record and what a killed process left of one, and nothing else", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    writeFiles(dir, { "other.json": "kept", "unrestored-1.json": "kept", "below/restored-1.json": "kept" });
    const before = describeTree(dir);
    await state.noteRestored(subject, one);
    for (const other of Object.values(otherSubjects)) await state.noteRestored(other, two);
    writeFiles(dir, { "restored-0.json.00000001.tmp": "torn" });
    await state.forget();
    assert.deepEqual(describeTree(dir), before);
    assert.deepEqual(await state.restored(subject), new Map());
    await state.forget();
    assert.deepEqual(describeTree(dir), before);
  }));

test("forget() throws where a record cannot be removed: it would go on to be believed", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, one);
    const calls = await atEveryCall(async (point) => {
      let thrown: unknown;
      try {
        await stateIn(dir, intercept(syncFiles, point.once(failWith("EACCES")))).forget();
      } catch (error) {
        thrown = error;
      }
      assert.equal(thrown instanceof Error ? thrown.message : thrown, point.reached ? "EACCES" : undefined);
      assert.deepEqual(await stateIn(dir).restored(subject), point.reached ? one : new Map());
    });
    assert.deepEqual(calls, ["list", "unlink"]);
  }));

test("where nothing can be read nothing is known, at whichever call it fails", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, one);
    const calls = await atEveryCall(async (point) => {
      const known = await stateIn(dir, intercept(realFiles, point.once(failWith("EIO")))).restored(subject);
      assert.deepEqual(known, point.reached ? new Map() : one);
    });
    assert.deepEqual(calls, ["open", "stat", "read", "close"]);
    assert.deepEqual(await stateIn(path.join(dir, "absent")).restored(subject), new Map());
  }));

const both: RestoredFiles = new Map([...one, ...two]);

test("a record that cannot be written is an error of this pod's disk", () =>
  withDirectory(async (dir) => {
    for (const name of ["append", "rename"]) {
      const files = intercept(realFiles, (call) => {
        if (call.name === name) throw failure("ENOSPC");
      });
      await assert.rejects(stateIn(dir, files).noteRestored(subject, one), { code: "ENOSPC" });
      assert.deepEqual(fs.readdirSync(dir), []);
    }
    await assert.rejects(stateIn(path.join(dir, "absent")).noteRestored(subject, one), { code: "ENOENT" });
  }));

/** What a record says after a call of noting `two` beside `one` failed. */
async function noteWithFailure(dir: string, files: FileSystem): Promise<RestoredFiles> {
  try {
    await stateIn(dir, files).noteRestored(subject, two);
  } catch (error) {
    assert.ok(error instanceof Error && "code" in error && error.code === "ENOSPC", String(error));
  }
  return await stateIn(dir).restored(subject);
}

test("whichever call fails, the record is the old one or the new one, and nothing lies beside it", () =>
  withDirectory(async (base) => {
    const outcomes = { fresh: 0, old: 0, whole: 0 };
    const calls = await atEveryCall(async (point) => {
      const dir = path.join(base, "state");
      fs.mkdirSync(dir);
      await stateIn(dir).noteRestored(subject, one);
      const known = await noteWithFailure(dir, intercept(realFiles, point.once(failWith("ENOSPC"))));
      recordIn(dir);
      // Of an old record that could not be read nothing is known.
      const outcome = known.size === one.size ? "old" : known.size === two.size ? "fresh" : "whole";
      assert.deepEqual(known, { fresh: two, old: one, whole: both }[outcome]);
      outcomes[outcome]++;
      fs.rmSync(dir, { recursive: true });
    });
    const reading = ["open", "stat", "read", "close"];
    const writing = ["open", "chmod", "append", "close"];
    assert.deepEqual(calls.slice(0, 8), [...reading, ...writing]);
    assert.equal(calls.at(-1), "rename");
    // The last run fails at no call; between writing and renaming it is tidied up, as far as that works.
    assert.equal(outcomes.fresh, reading.length);
    assert.ok(outcomes.old >= writing.length + 1);
    assert.equal(outcomes.old + outcomes.whole, calls.length + 1 - reading.length);
  }));

test("where every call from one on fails, a temporary file stays only as unlinking it fails too", () =>
  withDirectory(async (base) => {
    await atEveryCall(async (point) => {
      const dir = path.join(base, "state");
      fs.mkdirSync(dir);
      await stateIn(dir).noteRestored(subject, one);
      let unlinks = 0;
      const fail = point.onwards(failWith("ENOSPC"));
      const failing = intercept(realFiles, (call) => {
        if (call.name === "unlink") unlinks++;
        fail(call);
      });
      const known = await noteWithFailure(dir, failing);
      assert.deepEqual(known, point.reached ? one : both);
      assert.ok(fs.readdirSync(dir).length <= 1 + unlinks);
      await stateIn(dir).forget();
      assert.deepEqual(fs.readdirSync(dir), []);
      fs.rmSync(dir, { recursive: true });
    });
  }));

test("a rename that has its effect and fails nevertheless leaves the new record alone", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, one);
    const files: FileSystem = {
      ...realFiles,
      rename: async (from, to) => {
        await realFiles.rename(from, to);
        throw failure("ENOSPC");
      },
    };
    assert.deepEqual(await noteWithFailure(dir, files), both);
    recordIn(dir);
  }));

test("what a killed process left is in nobody's way", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    await state.noteRestored(subject, one);
    writeFiles(dir, { [`${path.basename(recordIn(dir))}.00000000.tmp`]: "torn" });
    await state.noteRestored(subject, two);
    assert.deepEqual(await state.restored(subject), both);
  }));

test("a directory that cannot be listed keeps no record from being written", () =>
  withDirectory(async (dir) => {
    await stateIn(dir).noteRestored(subject, one);
    const files: FileSystem = { ...realFiles, list: () => Promise.reject(failure("EIO")) };
    await stateIn(dir, files).noteRestored(subject, two);
    assert.deepEqual(await stateIn(dir).restored(subject), both);
  }));

test("the highest number seen of each cache is kept; a lower one, a torn record and another cache's change nothing", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    const other = { ...subject, key: parseKey("other-key", "key") };
    assert.equal(await state.newestSeen(subject), 0);
    for (const n of [4, 9, 7]) await state.noteSeen(subject, n);
    await state.noteSeen(other, 2);
    assert.deepEqual([await stateIn(dir).newestSeen(subject), await state.newestSeen(other)], [9, 2]);
    // What was restored is forgotten by a clear; what was seen is not.
    await state.noteRestored(subject, one);
    await state.forget();
    assert.equal(await state.newestSeen(subject), 9);
    const record = state.placeOfSeen(subject);
    assert.equal(fs.statSync(record).mode & 0o777, 0o600);
    fs.copyFileSync(state.placeOfSeen(other), record);
    assert.equal(await state.newestSeen(subject), 0, "it is the other's");
    fs.writeFileSync(record, '{"format":1,');
    assert.equal(await state.newestSeen(subject), 0);
    await state.noteSeen(subject, 3);
    assert.equal(await state.newestSeen(subject), 3);
  }));

test("the store that was seen first in a directory is kept; another one, a torn record and another directory's change nothing", () =>
  withDirectory(async (dir) => {
    const state = stateIn(dir);
    const [one, other] = ["1".repeat(32), "2".repeat(32)];
    assert.equal(await state.storeSeen("/cache/a"), undefined);
    await state.noteStore("/cache/a", one);
    await state.noteStore("/cache/a", other);
    await state.noteStore("/cache/b", other);
    assert.deepEqual([await stateIn(dir).storeSeen("/cache/a"), await state.storeSeen("/cache/b")], [
      one,
      other,
    ]);
    await state.forget();
    const record = state.placeOfStore("/cache/a");
    assert.equal(await state.storeSeen("/cache/a"), one, "a clear forgets what was restored alone");
    assert.equal(fs.statSync(record).mode & 0o777, 0o600);
    fs.copyFileSync(state.placeOfStore("/cache/b"), record);
    assert.equal(await state.storeSeen("/cache/a"), undefined, "it is the other's");
    fs.writeFileSync(record, '{"format":1,');
    assert.equal(await state.storeSeen("/cache/a"), undefined);
    await state.noteStore("/cache/a", other);
    assert.equal(await state.storeSeen("/cache/a"), other);
  }));
