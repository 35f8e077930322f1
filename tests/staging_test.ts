import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { isIndexLike, stagingPrefix } from "../lib/roots.ts";
import { Staging, sweepStagings } from "../lib/staging.ts";
import type { FileBatch, FileSystem, FileVersion, WriterThreads } from "../lib/system.ts";
import {
  atEveryCall,
  type Call,
  countingRandom,
  describeTree,
  failWith,
  intercept,
  oldMtimeNs,
  readFiles,
  realFiles,
  runtime,
  withDirectory,
  writeFile,
  writeFiles,
} from "./pods.ts";
import { syncFiles } from "./sync_files.ts";

const fileMode = 0o640;

/** Half a second and, where the runtime can keep it, 123,456 ns after oldMtimeNs. */
const stagedMtimeNs = oldMtimeNs + 500_000_000n +
  123_456n / runtime.mtimeResolutionNs * runtime.mtimeResolutionNs;

type Files = Readonly<Record<string, string>>;

function writeAll(staging: Staging, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    staging.write({ path, mode: fileMode, mtimeNs: stagedMtimeNs }, Buffer.from(content));
  }
}

const maxAgeMs = 60_000;

function create(target: string, files: FileSystem = realFiles): Promise<Staging> {
  return Staging.create({ disk: files, random: countingRandom() }, target);
}

/** Stages files, places them, and cleans up. @returns the notices. */
async function place(target: string, files: Files, fileSystem: FileSystem = realFiles): Promise<string[]> {
  await using staging = await create(target, fileSystem);
  writeAll(staging, files);
  return await staging.place();
}

/** A target directory with files in it, and what it is before anything is staged. */
function withTarget(
  files: Files,
  act: (target: string, before: Record<string, string>) => Promise<void>,
): Promise<void> {
  return withDirectory(async (base) => {
    const target = path.join(base, "target");
    writeFiles(target, files);
    writeFiles(path.join(base, "outside"), { canary: "alive" });
    await act(target, describeTree(target));
    assert.deepEqual(readFiles(path.join(base, "outside")), { canary: "alive" });
  });
}

/** Records the calls that make something visible, with the places they are about. */
function recordMoves(target: string): { files: FileSystem; moves: string[] } {
  const moves: string[] = [];
  const files = intercept(realFiles, ({ name, args }) => {
    if (name === "rename" || name === "link") moves.push(`${name} ${path.relative(target, String(args[1]))}`);
  });
  return { files, moves };
}

function namesOfStagings(target: string): string[] {
  return fs.readdirSync(target).filter((name) => name.startsWith(stagingPrefix));
}

const staged: Files = { "a/x": "x", "a/b/y": "y", "c/d/e/z": "z", "single": "s" };

test("staged files appear with their content, mode and modification time", () =>
  withTarget({}, async (target) => {
    assert.deepEqual(await place(target, staged), []);
    assert.deepEqual(readFiles(target), staged);
    for (const file of Object.keys(staged)) {
      const stat = await realFiles.lstat(path.join(target, file));
      assert.equal(stat.mode, fileMode);
      assert.equal(stat.mtimeNs, stagedMtimeNs);
    }
  }));

test("nothing is visible before it is placed, and the staging directory is for its owner alone", () =>
  withTarget({}, async (target) => {
    await using staging = await create(target);
    writeAll(staging, staged);
    const [name = "", ...others] = fs.readdirSync(target);
    assert.deepEqual(others, []);
    assert.ok(name.startsWith(stagingPrefix));
    assert.equal(fs.statSync(path.join(target, name)).mode & 0o777, 0o700);
    assert.deepEqual(readFiles(path.join(target, name)), staged);
  }));

test("a directory that the target lacks is placed by one rename, a single file by a link", () =>
  withTarget({ "a/old": "" }, async (target) => {
    const { files, moves } = recordMoves(target);
    await place(target, staged, files);
    assert.deepEqual(moves.toSorted(), ["link a/x", "link single", "rename a/b", "rename c"]);
    // "a" is there already: what is in it is placed piece by piece.
    assert.deepEqual(readFiles(target), { ...staged, "a/old": "" });
  }));

test("directories come first, then single files, then whatever is or holds index-like files", () =>
  withTarget({ "k/old": "", "m/old": "" }, async (target) => {
    const singles = [
      "__grp__a.json",
      "k/__grp__b.json",
      "k/a.cubin",
      "k/z.ptx",
      "m/model",
      "m/vllm_compile_cache.py",
      "m/zz",
      "vllm_compile_cache.py",
      "zz",
    ];
    const { files, moves } = recordMoves(target);
    const names = [...singles, "new/model", "zz_new/deep/file"];
    await place(target, Object.fromEntries(names.map((name) => [name, name])), files);
    const kinds = moves.map((move) => {
      const [call, moved = ""] = move.split(" ");
      return call === "rename" ? "directory" : isIndexLike(path.basename(moved)) ? "index-like" : "single";
    });
    assert.deepEqual(kinds, [
      "directory",
      ...Array<string>(4).fill("single"),
      "directory",
      ...Array<string>(5).fill("index-like"),
    ]);
    const links = moves.filter((move) => move.startsWith("link "));
    assert.deepEqual(links.map((move) => move.slice("link ".length)).toSorted(), singles.toSorted());
  }));

test("an empty directory that is there keeps its mode and its inode", () =>
  withTarget({}, async (target) => {
    fs.mkdirSync(path.join(target, "a"));
    fs.chmodSync(path.join(target, "a"), 0o700);
    const { ino } = fs.statSync(path.join(target, "a"));
    await place(target, staged);
    assert.deepEqual(readFiles(target), staged);
    const after = fs.statSync(path.join(target, "a"));
    assert.deepEqual([after.ino, after.mode & 0o777], [ino, 0o700]);
  }));

test("files that are there win: their content, mode, time and inode stay as they are", () =>
  withTarget({ "a/x": "mine", "single": "mine", "c/d/e/other": "mine" }, async (target, before) => {
    fs.chmodSync(path.join(target, "single"), 0o400);
    before = describeTree(target);
    assert.deepEqual(await place(target, staged), []);
    const after = describeTree(target);
    for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
    assert.deepEqual(readFiles(target), {
      "a/b/y": "y",
      "a/x": "mine",
      "c/d/e/other": "mine",
      "c/d/e/z": "z",
      "single": "mine",
    });
  }));

test("a symlink in a directory's place is not written through, wherever it leads", () =>
  withTarget({ "c/old": "" }, async (target) => {
    fs.symlinkSync("../outside", path.join(target, "a"));
    fs.symlinkSync("../../outside", path.join(target, "c/d"));
    const before = describeTree(target);
    const notices = await place(target, { ...staged, "c/new": "n" });
    assert.deepEqual(notices.toSorted(), [
      `"${target}/a" is no directory, so what belongs below it is left out`,
      `"${target}/c/d" is no directory, so what belongs below it is left out`,
    ]);
    const after = describeTree(target);
    for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
    assert.deepEqual(Object.keys(after).filter((file) => !(file in before)).toSorted(), ["c/new", "single"]);
  }));

test("a symlink to nowhere, to itself or to a file in a directory's place is left alone as well", async () => {
  for (const link of ["/nowhere/at/all", "a", "../outside/canary"]) {
    await withTarget({}, async (target) => {
      fs.symlinkSync(link, path.join(target, "a"));
      assert.equal((await place(target, staged)).length, 1);
      assert.deepEqual(readFiles(target), { "a": `-> ${link}`, "c/d/e/z": "z", "single": "s" });
    });
  }
});

test("a symlink in a file's place is neither replaced nor written through", async () => {
  for (const link of ["../outside/canary", "../outside/not_there", "single"]) {
    await withTarget({}, async (target) => {
      fs.symlinkSync(link, path.join(target, "single"));
      assert.deepEqual(await place(target, staged), []);
      assert.deepEqual(readFiles(target), { ...staged, single: `-> ${link}` });
      assert.deepEqual(fs.readdirSync(path.join(target, "../outside")), ["canary"]);
    });
  }
});

test("a file in a directory's place, and a directory in a file's place, are left alone", () =>
  withTarget({ "a": "a file", "single/inner": "" }, async (target, before) => {
    assert.deepEqual(await place(target, staged), [
      `"${target}/a" is no directory, so what belongs below it is left out`,
    ]);
    const after = describeTree(target);
    for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
    assert.deepEqual(readFiles(target), { "a": "a file", "c/d/e/z": "z", "single/inner": "" });
  }));

const modes: readonly (readonly [root: number, directories: number])[] = [
  [0o755, 0o755],
  [0o700, 0o700],
  [0o750, 0o750],
  [0o775, 0o775],
  [0o777, 0o775],
  [0o1777, 0o775],
  [0o2770, 0o770],
  [0o500, 0o700],
];

test("new directories follow the root's mode; none is writable by all, or carries its special bits", async () => {
  for (const [root, directories] of modes) {
    await withTarget({}, async (target) => {
      fs.chmodSync(target, root);
      await place(target, staged);
      for (const dir of ["a", "a/b", "c", "c/d", "c/d/e"]) {
        const { mode } = await realFiles.lstat(path.join(target, dir));
        assert.equal(mode, directories, `${dir} below ${root.toString(8)}`);
      }
    });
  }
});

test("what was not placed is gone once disposed of, and nothing else is", () =>
  withTarget({ "a/x": "mine", [`${stagingPrefix}other/file`]: "another load's" }, async (target, before) => {
    {
      await using staging = await create(target);
      writeAll(staging, staged);
      assert.equal(namesOfStagings(target).length, 2);
    }
    assert.deepEqual(describeTree(target), before);
    await place(target, staged);
    assert.deepEqual(namesOfStagings(target), [`${stagingPrefix}other`]);
  }));

test("what a killed load left behind long ago is gone, and nothing else is", () =>
  withTarget({ ".b10-notes/x": "", "a/.b10-ffffffffffffffffffffffffffffffff": "" }, async (target) => {
    const leave = (nonce: string, ageMs: number) => {
      const dir = path.join(target, `${stagingPrefix}${nonce}`);
      writeFiles(dir, { "a/half": "half", "b": "whole" });
      const past = (Date.now() - ageMs) / 1000;
      fs.utimesSync(dir, past, past);
      return dir;
    };
    const dead = leave("d".repeat(32), maxAgeMs + 5_000);
    const alive = leave("e".repeat(32), maxAgeMs - 30_000);
    fs.utimesSync(path.join(target, ".b10-notes"), 0, 0);
    await sweepStagings({ disk: realFiles, random: countingRandom() }, target, maxAgeMs);
    assert.ok(!fs.existsSync(dead));
    assert.deepEqual(readFiles(alive), { "a/half": "half", "b": "whole" });
    assert.ok(fs.existsSync(path.join(target, ".b10-notes/x")));
    assert.ok(fs.existsSync(path.join(target, "a/.b10-ffffffffffffffffffffffffffffffff")));
  }));

test("disposing of it never throws", () =>
  withTarget({}, async (target) => {
    let disposing = false;
    const files = intercept(realFiles, () => {
      if (disposing) failWith("EIO")();
    });
    {
      await using staging = await create(target, files);
      writeAll(staging, staged);
      disposing = true;
    }
    assert.equal(namesOfStagings(target).length, 1);
  }));

/** A disk that is full takes a part of a file before it says so. */
function writeHalf({ name, args: [file, bytes] }: Call): void {
  if (name !== "createFileSync" || !(bytes instanceof Uint8Array)) return;
  fs.writeFileSync(String(file), bytes.subarray(0, bytes.length >> 1), { flag: "wx" });
}

const existing: Files = { "a/x": "mine", "m/old": "mine" };
const arriving: Files = {
  "a/b/y": "file y",
  "a/x": "not mine",
  "c/d/z": "file z",
  "c/w": "file w",
  "m/model": "index-like",
  "m/other": "file other",
};

/** Everything is as it was, but for whole staged files; a new directory has all of its files. */
function assertOnlyWholeFilesAdded(target: string, before: Record<string, string>): void {
  const after = describeTree(target);
  for (const [file, description] of Object.entries(before)) assert.equal(after[file], description, file);
  const contents = readFiles(target);
  for (const file of Object.keys(contents).filter((file) => !(file in before))) {
    assert.equal(contents[file], arriving[file], file);
    const stat = fs.lstatSync(path.join(target, file), { bigint: true });
    assert.equal(Number(stat.mode) & 0o7777, fileMode);
    assert.equal(stat.mtimeNs, stagedMtimeNs);
    assert.equal(stat.nlink, 1n);
  }
  for (const dir of Object.keys(after).filter((file) => !(file in before) && !(file in contents))) {
    const below = Object.keys(arriving).filter((file) => file.startsWith(`${dir}/`));
    for (const file of below) assert.ok(file in contents, `${file} is missing in ${dir}`);
    assert.ok(below.length > 0, dir);
  }
}

test("whichever call finds the disk full: only whole files are added, and no staging directory is left", async () => {
  const calls = await atEveryCall((point) =>
    withTarget(existing, async (target, before) => {
      let phase: "stage" | "place" | "dispose" = "stage";
      const diskFull = point.once((call) => {
        if (phase === "dispose") return;
        writeHalf(call);
        failWith("ENOSPC")();
      });
      const restore = async () => {
        await using staging = await create(target, intercept(syncFiles, diskFull));
        try {
          writeAll(staging, arriving);
          phase = "place";
          await staging.place();
        } finally {
          if (phase === "stage") assert.deepEqual(withoutStagings(target), before);
          // A failure while cleaning up is the next test's.
          phase = "dispose";
        }
      };
      const ended = await restore().then(() => undefined, (error: unknown) => error);
      if (ended !== undefined) {
        assert.ok(ended instanceof CacheError, String(ended));
        assert.equal(ended.code, "no_space");
      } else assert.deepEqual(readFiles(target), { ...arriving, ...existing });
      assert.deepEqual(namesOfStagings(target), []);
      assertOnlyWholeFilesAdded(target, before);
      // The next load completes what this one left.
      await place(target, arriving, syncFiles);
      assert.deepEqual(readFiles(target), { ...arriving, ...existing });
    })
  );
  for (const name of ["stat", "mkdir", "createDirectorySync", "createFileSync", "rename", "link", "unlink"]) {
    assert.ok(calls.includes(name), name);
  }
});

function withoutStagings(target: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(describeTree(target)).filter(([file]) => !file.startsWith(stagingPrefix)),
  );
}

test("a crash at any call leaves whole files alone, besides the staging directory", async () => {
  await atEveryCall((point) =>
    withTarget(existing, async (target, before) => {
      const crash = point.onwards((call) => {
        if (point.reached === call) writeHalf(call);
        failWith("EIO")();
      });
      await place(target, arriving, intercept(syncFiles, crash)).then(() => {}, () => {});
      for (const name of namesOfStagings(target)) fs.rmSync(path.join(target, name), { recursive: true });
      assertOnlyWholeFilesAdded(target, before);
    })
  );
});

test("another load that places the same files at any moment does no harm", async () => {
  await atEveryCall((point) =>
    withTarget(existing, async (target) => {
      const placeOthers = () => {
        for (const [file, content] of Object.entries(arriving)) {
          const other = path.join(target, file);
          if (!fs.existsSync(other)) writeFile(other, content);
        }
      };
      const files = intercept(syncFiles, point.once(placeOthers));
      assert.deepEqual(await place(target, arriving, files), []);
      assert.deepEqual(readFiles(target), { ...arriving, ...existing });
    })
  );
});

test("files of two loads into one target at once are all there, each whole", () =>
  withTarget(existing, async (target) => {
    await using first = await create(target);
    // The names of the two directories come from different random bits.
    const random = { ...countingRandom(), hex: () => "f".repeat(32) };
    await using second = await Staging.create({ disk: realFiles, random }, target);
    writeAll(first, arriving);
    writeAll(second, { ...arriving, "c/more": "more" });
    await Promise.all([first.place(), second.place()]);
    assert.deepEqual(readFilesBesidesStagings(target), { ...arriving, ...existing, "c/more": "more" });
  }));

function readFilesBesidesStagings(target: string): Record<string, string> {
  const files = Object.entries(readFiles(target));
  return Object.fromEntries(files.filter(([file]) => !file.startsWith(stagingPrefix)));
}

test("a target that is not there, or where nothing can be made, is local_io", async () => {
  await withDirectory((base) =>
    assert.rejects(create(path.join(base, "absent")), {
      code: "local_io",
      message: `Cannot stage files in "${base}/absent" on this pod: ENOENT`,
    })
  );
});

test("a file with much to write is written by another thread, and is as any other", () =>
  withTarget({}, async (target) => {
    const calls: string[] = [];
    const files = intercept(realFiles, ({ name }) => void calls.push(name));
    await using staging = await create(target, files);
    const facts = { mode: fileMode, mtimeNs: stagedMtimeNs };
    const large = Buffer.alloc(128 * 1024, "large");
    assert.equal(staging.writeSoon({ path: "small", ...facts }, large.subarray(1)), undefined);
    await staging.writeSoon({ path: "a/large", ...facts }, large);
    assert.deepEqual(calls.filter((name) => name.startsWith("createFile")), ["createFileSync", "createFile"]);
    await staging.place();
    const { mode, mtimeNs, size } = realFiles.lstatSync(path.join(target, "a/large"));
    assert.deepEqual([mode, mtimeNs, size], [fileMode, stagedMtimeNs, large.length]);
    assert.ok(fs.readFileSync(path.join(target, "a/large")).equals(large));
  }));

test("where another thread cannot write, that is said as of any other file", () =>
  withTarget({}, async (target) => {
    const files = intercept(realFiles, ({ name }) => {
      if (name === "createFile") throw Object.assign(new Error("full"), { code: "ENOSPC" });
    });
    await using staging = await create(target, files);
    const writing = staging.writeSoon({ path: "x", mode: fileMode, mtimeNs: 0n }, Buffer.alloc(128 * 1024));
    await assert.rejects(writing ?? Promise.resolve(), { code: "no_space" });
  }));

/** Threads that write when they are told to, or fail. */
class HeldThreads implements WriterThreads {
  isFree = true;
  batches = 0;
  readonly released = Promise.withResolvers<void>();

  async createFiles({ places, bytes, sizes, modes, mtimesNs }: FileBatch): Promise<readonly FileVersion[]> {
    this.batches++;
    await this.released.promise;
    let at = 0;
    return places.split("\0").map((place, number) => {
      const content = bytes.subarray(at, at += sizes[number] ?? 0);
      return realFiles.createFileSync(place, content, {
        mode: modes[number] ?? 0,
        mtimeNs: mtimesNs[number] ?? 0n,
      });
    });
  }
}

/** Small files, more than the main thread creates by itself in any case. */
const manyFiles: Files = Object.fromEntries(
  Array.from({ length: 1300 }, (_, at) => [`${at % 7}/${at}`, `content ${at}`]),
);

async function stageMany(target: string, threads: WriterThreads) {
  const calls: string[] = [];
  const files = intercept(syncFiles, ({ name }) => void calls.push(name));
  const staging = await Staging.create(
    { disk: files, random: countingRandom(), writerThreads: threads },
    target,
  );
  for (const [path, content] of Object.entries(manyFiles)) {
    const facts = { mode: fileMode, mtimeNs: stagedMtimeNs };
    assert.equal(staging.writeSoon({ path, ...facts }, Buffer.from(content)), undefined);
  }
  return { staging, created: calls.filter((name) => name === "createFileSync").length };
}

test("of many small files other threads create those after the first thousand, and all are as they would be", () =>
  withTarget({}, async (target) => {
    const threads = new HeldThreads();
    const { staging, created } = await stageMany(target, threads);
    assert.deepEqual([created, threads.batches], [1000, 1]);
    threads.released.resolve();
    assert.deepEqual(await staging.place(), []);
    await staging[Symbol.asyncDispose]();
    assert.equal(threads.batches, 2);
    assert.deepEqual(readFiles(target), manyFiles);
    for (const name of Object.keys(manyFiles)) {
      const { mode, ino, size, mtimeNs, ctimeNs } = realFiles.lstatSync(path.join(target, name));
      assert.deepEqual([mode, mtimeNs], [fileMode, stagedMtimeNs]);
      assert.deepEqual(staging.versionOf(name), { ino, size, mtimeNs, ctimeNs });
    }
  }));

test("where no thread is free the main thread goes on by itself", () =>
  withTarget({}, async (target) => {
    const threads = new HeldThreads();
    threads.isFree = false;
    const { staging, created } = await stageMany(target, threads);
    assert.deepEqual([created, threads.batches], [1300, 0]);
    await staging[Symbol.asyncDispose]();
  }));

test("where a thread fails nothing is placed, and nothing is left", () =>
  withTarget({ mine: "mine" }, async (target, before) => {
    const threads = new HeldThreads();
    const { staging } = await stageMany(target, threads);
    threads.released.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
    await assert.rejects(staging.place(), { code: "no_space" });
    await staging[Symbol.asyncDispose]();
    assert.deepEqual(describeTree(target), before);
  }));

test("a staging that is given up waits for its threads: what they still wrote would lie there again", () =>
  withTarget({ mine: "mine" }, async (target, before) => {
    const threads = new HeldThreads();
    const { staging } = await stageMany(target, threads);
    const disposing = staging[Symbol.asyncDispose]();
    threads.released.resolve();
    await disposing;
    assert.deepEqual(describeTree(target), before);
  }));

test("a file is what it was when it was written where its whole directory was placed, and only there", () =>
  withTarget({ "b/mine": "mine" }, async (target) => {
    await using staging = await create(target);
    writeAll(staging, { "a/x": "x", "a/deep/er/y": "y", "b/z": "z", "b/new/w": "w", top: "top" });
    assert.equal(staging.versionOf("a/x"), undefined);
    await staging.place();
    for (const name of ["a/x", "a/deep/er/y", "b/new/w"]) {
      const { ino, size, mtimeNs, ctimeNs } = realFiles.lstatSync(path.join(target, name));
      assert.deepEqual(staging.versionOf(name), { ino, size, mtimeNs, ctimeNs }, name);
    }
    for (const name of ["b/z", "top", "a/absent"]) assert.equal(staging.versionOf(name), undefined, name);
  }));

test("a file that was staged already is not replaced", () =>
  withTarget({}, async (target) => {
    await using staging = await create(target);
    writeAll(staging, { "a/x": "first" });
    assert.throws(() => writeAll(staging, { "a/x": "second" }), { code: "local_io" });
    await staging.place();
    assert.deepEqual(readFiles(target), { "a/x": "first" });
  }));
