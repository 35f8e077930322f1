/** The disk in memory answers as a real one does: what the trials rest on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errnoOf } from "../../lib/errors.ts";
import type { FileSystem, OpenFile } from "../../lib/system.ts";
import { oldMtimeNs, withDirectory } from "../pods.ts";
import { syncFiles } from "../sync_files.ts";
import { MemoryDisk } from "./memory_disk.ts";
import { textOf } from "./trees.ts";

const names = ["a", "b", "a/a", "a/b", "b/a", "a/a/a"];
const path = fc.constantFrom(...names);
const mode = fc.constantFrom(0o600, 0o644, 0o755);

type Step = (on: Session) => unknown;

/** One file system, below a directory, and what was opened on it last. */
class Session {
  readonly fs: FileSystem;
  readonly #dir: string;
  file: OpenFile | undefined;

  constructor(fs: FileSystem, dir: string) {
    this.fs = fs;
    this.#dir = dir;
  }

  at(name: string): string {
    return `${this.#dir}/${name}`;
  }

  async open(name: string, mode: "r" | "wx"): Promise<void> {
    const file = await this.fs.open(this.at(name), mode);
    await this.close();
    this.file = file;
  }

  /** Its number may be another file's from then on. */
  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  async read(): Promise<string | undefined> {
    const into = new Uint8Array(8);
    const count = await this.file?.read(into, 1);
    return count === undefined ? undefined : textOf(into.subarray(0, count));
  }

  /** A call's answer, or its errno. */
  async answer(step: Step): Promise<unknown> {
    try {
      return await step(this);
    } catch (error) {
      return errnoOf(error) ?? assert.fail(String(error));
    }
  }
}

async function factsAt({ fs }: Session, place: string): Promise<unknown> {
  const { kind, mode, size } = await fs.lstat(place);
  return [kind, mode, kind === "file" ? size : 0];
}

const text = new TextEncoder();

const step: fc.Arbitrary<{ name: string; act: Step }> = fc.oneof(
  fc.record({ path, mode }).map(({ path, mode }) => ({
    name: `mkdir ${path}`,
    act: (on: Session) => on.fs.mkdir(on.at(path), mode),
  })),
  fc.record({ path, mode }).map(({ path, mode }) => ({
    name: `createDirectorySync ${path}`,
    act: (on: Session) => on.fs.createDirectorySync(on.at(path), mode),
  })),
  fc.record({ path, mode }).map(({ path, mode }) => ({
    name: `createFileSync ${path}`,
    act: (on: Session) => {
      const bytes = text.encode(`made at ${path}`);
      const { size, mtimeNs } = on.fs.createFileSync(on.at(path), bytes, { mode, mtimeNs: oldMtimeNs });
      return [size, mtimeNs];
    },
  })),
  fc.record({ path, mode }).map(({ path, mode }) => ({
    name: `chmod ${path}`,
    // Nobody takes the right to look into a directory from itself.
    act: (on: Session) => on.fs.chmod(on.at(path), mode | 0o700),
  })),
  fc.record({ from: path, to: path }).map(({ from, to }) => ({
    name: `rename ${from} ${to}`,
    act: (on: Session) => on.fs.rename(on.at(from), on.at(to)),
  })),
  fc.record({ from: path, to: path }).map(({ from, to }) => ({
    name: `link ${from} ${to}`,
    act: (on: Session) => on.fs.link(on.at(from), on.at(to)),
  })),
  path.map((path) => ({
    name: `unlink ${path}`,
    act: async (on: Session) => {
      // Deno and Bun have different answers for a directory.
      const { kind } = await on.fs.lstat(on.at(path));
      if (kind === "file") await on.fs.unlink(on.at(path));
    },
  })),
  path.map((path) => ({ name: `rmdir ${path}`, act: (on: Session) => on.fs.rmdir(on.at(path)) })),
  path.map((path) => ({ name: `lstat ${path}`, act: (on: Session) => factsAt(on, on.at(path)) })),
  path.map((path) => ({
    name: `list ${path}`,
    act: async (on: Session) =>
      (await on.fs.list(on.at(path))).map(({ name, kind }) => `${name} ${kind}`).sort(),
  })),
  path.map((path) => ({
    name: `realPath ${path}`,
    act: async (on: Session) => (await on.fs.realPath(on.at(path))) === on.at(path),
  })),
  path.map((path) => ({ name: `open ${path}`, act: (on: Session) => on.open(path, "r") })),
  path.map((path) => ({ name: `create ${path}`, act: (on: Session) => on.open(path, "wx") })),
  fc.constant({ name: "append", act: (on: Session) => on.file?.append(text.encode("more")) }),
  fc.constant({ name: "read", act: (on: Session) => on.read() }),
  fc.constant({ name: "close", act: (on: Session) => on.close() }),
);

test("the disk in memory answers whatever is asked of it as a real disk does", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), (steps) =>
      withDirectory(async (dir) => {
        const memory = new Session(new MemoryDisk(0).files, "");
        const real = new Session(syncFiles, dir);
        for (const { name, act } of steps) {
          assert.deepEqual(await memory.answer(act), await real.answer(act), name);
        }
        await real.close();
      })),
    { numRuns: 60 },
  ));

test("a disk in memory goes back to a moment, whatever became of it, with its times", async () => {
  const disk = new MemoryDisk(1_000);
  await disk.files.mkdir("/a", 0o755);
  disk.files.createFileSync("/a/file", text.encode("first"), { mode: 0o644, mtimeNs: oldMtimeNs });
  await disk.files.link("/a/file", "/a/same");
  const moment = disk.remember();
  const before = disk.entries();
  const file = await disk.files.open("/a/new", "wx");
  await file.append(text.encode("new"));
  await disk.files.chmod("/a/file", 0o600);
  await disk.files.unlink("/a/same");
  disk.nowMs += 5_000;
  disk.restore(moment);
  assert.deepEqual(disk.entries(), before);
  assert.equal(disk.nowMs, 1_000);
  await disk.files.chmod("/a/same", 0o640);
  assert.equal((await disk.files.stat("/a/file")).mode, 0o640);
});
