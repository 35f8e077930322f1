import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { isStill, readStable, sameVersion, type StableRead } from "../lib/stable_read.ts";
import type { FileStat, FileSystem, OpenFile } from "../lib/system.ts";
import type { LocalFile } from "../lib/tree.ts";
import { only } from "./fake_system.ts";
import {
  atEveryCall,
  type BeforeCall,
  failWith,
  intercept,
  oldMtimeNs,
  realFiles,
  withDirectory,
  writeFile,
} from "./pods.ts";

const place = "/tmp/root/file";

function statOf(overrides: Partial<FileStat> = {}): FileStat {
  return {
    kind: "file",
    size: 0,
    mode: 0o644,
    mtimeNs: 1_000n,
    ctimeNs: 1_000n,
    dev: 1n,
    ino: 1n,
    uid: 0,
    gid: 0,
    ...overrides,
  };
}

function localFile(at = place): LocalFile {
  return { path: "inductor/file", place: at, stat: statOf() };
}

/** A file as the disk has it. */
interface Inode {
  content: string;
  mtimeNs: bigint;
  ctimeNs: bigint;
  readonly ino: bigint;
}

/** How much a read gives at most: a network file system may well give less than was asked for. */
const shortReadBytes = 3;

/** A disk with one file, which changes while it is read. Every state that it was ever in is remembered. */
class ChangingDisk {
  inode: Inode = { content: "first version", mtimeNs: 1_000n, ctimeNs: 1_000n, ino: 1n };
  readonly states: string[] = [];
  opened = 0;
  closed = 0;
  readonly fs: FileSystem;
  #ticksNs = 1_000n;

  constructor(before: BeforeCall) {
    this.#remember();
    this.fs = intercept(
      only<FileSystem>("fs", {
        open: () => {
          this.opened++;
          return Promise.resolve(this.#handle(this.inode));
        },
        lstat: () => Promise.resolve(this.#stat(this.inode)),
        realPath: (path) => Promise.resolve(path),
      }),
      before,
    );
  }

  /** Writes within the file: every write moves mtime and ctime. */
  rewrite(content: string): void {
    this.#ticksNs++;
    Object.assign(this.inode, { content, mtimeNs: this.#ticksNs, ctimeNs: this.#ticksNs });
    this.#remember();
  }

  /** Writes within the file and sets the old mtime again, as `cp -p` does: only ctime tells. */
  rewriteInSecret(content: string): void {
    this.#ticksNs++;
    Object.assign(this.inode, { content, ctimeNs: this.#ticksNs });
    this.#remember();
  }

  /** Puts another file in its place. */
  replace(content: string): void {
    this.inode = { ...this.inode, content, ino: this.inode.ino + 1n };
    this.#remember();
  }

  #handle(inode: Inode): OpenFile {
    return only<OpenFile>("file", {
      stat: () => Promise.resolve(this.#stat(inode)),
      read: (into, position) => {
        const part = Buffer.from(inode.content).subarray(
          position,
          position + Math.min(into.length, shortReadBytes),
        );
        into.set(part);
        return Promise.resolve(part.length);
      },
      close: () => {
        this.closed++;
        return Promise.resolve();
      },
    });
  }

  #stat({ content, mtimeNs, ctimeNs, ino }: Inode): FileStat {
    return statOf({ size: content.length, mtimeNs, ctimeNs, ino });
  }

  #remember(): void {
    this.states.push(this.inode.content);
  }
}

function contentOf(read: StableRead | undefined): string | undefined {
  return read && Buffer.from(read.content).toString();
}

const changes: readonly (readonly [string, (disk: ChangingDisk, round: number) => void])[] = [
  ["grows", (disk, round) => disk.rewrite(`${disk.inode.content} and more ${round}`)],
  ["shrinks", (disk) => disk.rewrite(disk.inode.content.slice(0, -2))],
  ["is emptied", (disk) => disk.rewrite("")],
  ["gets other bytes of the same size", (disk, round) => disk.rewrite(`VERSION ${round}`.padEnd(13, "~"))],
  ["gets other bytes and its old mtime again", (disk) => disk.rewriteInSecret("VERSION AGAIN")],
  ["is replaced by another file", (disk, round) => disk.replace(`replacement ${round}`)],
  ["is touched", (disk) => disk.rewrite(disk.inode.content)],
];

for (const [what, change] of changes) {
  test(`a file that ${what} once, at any point of the reading, is read whole`, async () => {
    const calls = await atEveryCall(async (point) => {
      const disk = new ChangingDisk(point.once(() => change(disk, 1)));
      const read = await readStable(disk.fs, localFile());
      assert.ok(disk.states.includes(contentOf(read) ?? assert.fail("it was given up")));
      assert.equal(read?.stat.size, read?.content.length);
      assert.equal(disk.closed, disk.opened);
    });
    assert.ok(calls.length > 6, calls.join());
  });

  test(`a file that ${what} again and again is whole if it is returned at all`, async () => {
    await atEveryCall(async (point) => {
      let round = 0;
      const disk = new ChangingDisk(point.onwards(() => change(disk, ++round)));
      const content = contentOf(await readStable(disk.fs, localFile()));
      assert.ok(content === undefined || disk.states.includes(content));
      assert.equal(disk.closed, disk.opened);
    });
  });
}

test("a file that holds still is read once, with the facts that go with its bytes", async () => {
  const disk = new ChangingDisk(() => {});
  const read = await readStable(disk.fs, localFile());
  assert.equal(contentOf(read), "first version");
  assert.deepEqual(read?.stat, statOf({ size: 13 }));
  assert.deepEqual([disk.opened, disk.closed], [1, 1]);
});

test("an empty file is read", async () => {
  const disk = new ChangingDisk(() => {});
  disk.rewrite("");
  assert.equal(contentOf(await readStable(disk.fs, localFile())), "");
});

test("a file that changes during every reading is given up after three", async () => {
  // The handle of a file that was replaced has the old one whole, and an empty file cannot be emptied again.
  const calm = new Set(["is replaced by another file", "is emptied"]);
  for (const [what, change] of changes.filter(([what]) => !calm.has(what))) {
    let round = 0;
    const disk = new ChangingDisk(({ name }) => {
      if (name === "read") change(disk, ++round);
    });
    disk.rewrite("x".repeat(100));
    assert.equal(await readStable(disk.fs, localFile()), undefined, what);
    assert.deepEqual([disk.opened, disk.closed], [3, 3], what);
  }
});

test("what is no regular file any more is not returned", async () => {
  for (const kind of ["directory", "symlink", "other"] as const) {
    const handle = only<OpenFile>("file", {
      stat: () => Promise.resolve(statOf({ kind })),
      close: () => Promise.resolve(),
    });
    const fs = only<FileSystem>("fs", { open: () => Promise.resolve(handle) });
    assert.equal(await readStable(fs, localFile()), undefined, kind);
  }
});

test("a file with fewer bytes than its facts say is not returned", async () => {
  const disk = new ChangingDisk(() => {});
  const short: FileSystem = {
    ...disk.fs,
    open: async (at, mode) => {
      const file = await disk.fs.open(at, mode);
      const read = (into: Uint8Array, position: number) =>
        position < 5 ? file.read(into.subarray(0, 5 - position), position) : Promise.resolve(0);
      return { ...file, read, stat: () => file.stat(), close: () => file.close() };
    },
  };
  assert.equal(await readStable(short, localFile()), undefined);
});

test("a file that is gone, or that this user may not read, is none; any other failure is passed on", async () => {
  for (const code of ["ENOENT", "EACCES", "ENOTDIR", "EISDIR", "ELOOP"]) {
    const fs = only<FileSystem>("fs", { open: failWith(code) });
    assert.equal(await readStable(fs, localFile()), undefined);
  }
  for (const name of ["open", "stat", "read", "close"]) {
    const disk = new ChangingDisk((call) => {
      if (call.name === name) failWith("EIO")();
    });
    await assert.rejects(readStable(disk.fs, localFile()), { code: "EIO" }, name);
  }
});

test("a file is closed whatever fails", async () => {
  for (const name of ["stat", "read"]) {
    const disk = new ChangingDisk((call) => {
      if (call.name === name) failWith("EIO")();
    });
    await assert.rejects(readStable(disk.fs, localFile()));
    assert.deepEqual([disk.opened, disk.closed], [1, 1]);
  }
});

test("sameVersion() is about inode, device, size, mtime and ctime of regular files", () => {
  const stat = statOf({ size: 5 });
  assert.equal(sameVersion(stat, { ...stat }), true);
  assert.equal(sameVersion(stat, { ...stat, mode: 0o600, uid: 7, gid: 7 }), true);
  const differences: Partial<FileStat>[] = [
    { ino: 2n },
    { dev: 2n },
    { size: 6 },
    { mtimeNs: 1_001n },
    { ctimeNs: 1_001n },
    { kind: "symlink" },
    { kind: "directory" },
  ];
  for (const difference of differences) {
    assert.equal(sameVersion(stat, { ...stat, ...difference }), false);
    assert.equal(sameVersion({ ...stat, ...difference }, stat), false);
  }
  assert.equal(sameVersion({ ...stat, kind: "other" }, { ...stat, kind: "other" }), false);
});

const replacements: readonly (readonly [string, (dir: string) => void])[] = [
  ["a file became a symlink", (dir) => {
    fs.rmSync(`${dir}/a/file`);
    fs.symlinkSync("../../outside/file", `${dir}/a/file`);
  }],
  ["a file became a symlink to itself", (dir) => {
    fs.rmSync(`${dir}/a/file`);
    fs.symlinkSync("file", `${dir}/a/file`);
  }],
  ["a file became a directory", (dir) => {
    fs.rmSync(`${dir}/a/file`);
    fs.mkdirSync(`${dir}/a/file`);
  }],
  ["its directory became a symlink", (dir) => {
    fs.rmSync(`${dir}/a`, { recursive: true });
    fs.symlinkSync("../outside", `${dir}/a`);
  }],
  ["its directory became a file", (dir) => {
    fs.rmSync(`${dir}/a`, { recursive: true });
    fs.writeFileSync(`${dir}/a`, "");
  }],
];

for (const [what, replace] of replacements) {
  test(`where ${what} since the walk nothing is returned, and nothing is followed`, () =>
    withDirectory(async (base) => {
      writeFile(`${base}/root/a/file`, "content");
      writeFile(`${base}/outside/file`, "a secret elsewhere");
      const walked = {
        ...localFile(`${base}/root/a/file`),
        stat: await realFiles.lstat(`${base}/root/a/file`),
      };
      replace(`${base}/root`);
      assert.equal(await readStable(realFiles, walked), undefined);
      assert.equal(await isStill(realFiles, walked, walked.stat), false);
    }));
}

test("a file that was replaced by another since the walk is read, as it is now", () =>
  withDirectory(async (base) => {
    writeFile(`${base}/file`, "old");
    const walked = { ...localFile(`${base}/file`), stat: await realFiles.lstat(`${base}/file`) };
    writeFile(`${base}/other`, "new content");
    fs.renameSync(`${base}/other`, `${base}/file`);
    assert.equal(contentOf(await readStable(realFiles, walked)), "new content");
  }));

/** Reads a real file, lets `change` happen, and looks whether it is still the same. */
function isStillAfter(change: (file: string, base: string) => void): Promise<boolean> {
  let still = false;
  return withDirectory(async (base) => {
    const file = `${base}/file`;
    writeFile(file, "content");
    const read = await readStable(realFiles, localFile(file)) ?? assert.fail();
    assert.equal(contentOf(read), "content");
    assert.equal(read.stat.mtimeNs, oldMtimeNs);
    change(file, base);
    still = await isStill(realFiles, localFile(file), read.stat);
  }).then(() => still);
}

test("isStill() holds for a real file that nobody touched", async () => {
  assert.equal(await isStillAfter(() => {}), true);
});

const realChanges: readonly (readonly [string, (file: string, base: string) => void])[] = [
  ["grew", (file) => fs.appendFileSync(file, "more")],
  ["was truncated", (file) => fs.truncateSync(file, 3)],
  ["got other bytes of the same size", (file) => fs.writeFileSync(file, "CONTENT")],
  ["was replaced by an equal one", (file, base) => {
    writeFile(`${base}/other`, "content");
    fs.renameSync(`${base}/other`, file);
  }],
  ["was replaced by a symlink to an equal one", (file, base) => {
    fs.renameSync(file, `${base}/moved`);
    fs.symlinkSync("moved", file);
  }],
  ["was replaced by a directory", (file) => {
    fs.rmSync(file);
    fs.mkdirSync(file);
  }],
  ["is gone", (file) => fs.rmSync(file)],
];

for (const [what, change] of realChanges) {
  test(`isStill() does not hold for a real file that ${what}`, async () => {
    assert.equal(await isStillAfter(change), false);
  });
}

test("isStill() passes a failure of the disk on", async () => {
  const fs = only<FileSystem>("fs", {
    lstat: () => Promise.reject(Object.assign(new Error(), { code: "EIO" })),
  });
  await assert.rejects(isStill(fs, localFile(), statOf()), { code: "EIO" });
});
