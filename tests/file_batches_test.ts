import assert from "node:assert/strict";
import { test } from "node:test";
import { FileBatches } from "../lib/file_batches.ts";
import type { FileBatch, FileVersion, WriterThreads } from "../lib/system.ts";
import { cacheError } from "./store/examples.ts";

const facts = { mode: 0o640, mtimeNs: 1_234_567_890_123_456_789n };

/** Threads that keep what they are given, and answer when they are told to. */
class FakeThreads implements WriterThreads {
  isFree = true;
  readonly given: FileBatch[] = [];
  readonly #answers: PromiseWithResolvers<readonly FileVersion[]>[] = [];

  createFiles(batch: FileBatch): Promise<readonly FileVersion[]> {
    // The memory goes with it: whoever writes to it later writes to nothing.
    this.given.push({ ...batch, bytes: new Uint8Array(batch.bytes.buffer.transfer()) });
    const answer = Promise.withResolvers<readonly FileVersion[]>();
    this.#answers.push(answer);
    return answer.promise;
  }

  succeed(): void {
    for (const [at, { resolve }] of this.#answers.entries()) {
      resolve([...this.given[at]?.sizes ?? []].map((size) => ({ ino: 1n, size, mtimeNs: 2n, ctimeNs: 3n })));
    }
  }

  fail(error: Error): void {
    for (const { reject } of this.#answers) reject(error);
  }
}

function taking(threads: WriterThreads) {
  const written = new Map<string, FileVersion>();
  const batches = new FileBatches(threads, (path, version) => void written.set(path, version));
  const take = (path: string, content: Uint8Array) =>
    batches.take({ path, place: `/staging/${path}`, ...facts }, content);
  return { batches, written, take };
}

test("a batch has its files' places, contents and facts, in the order in which they came", async () => {
  const threads = new FakeThreads();
  const { batches, written, take } = taking(threads);
  const content = Buffer.from("content of a");
  assert.ok(take("a", content));
  // It is the caller's again.
  content.fill(0);
  assert.ok(take("b/empty", new Uint8Array(0)));
  assert.ok(take("b/c", Buffer.from("c")));
  assert.equal(threads.given.length, 0);
  const settling = batches.settle();
  threads.succeed();
  await settling;
  const [batch, ...others] = threads.given;
  assert.equal(others.length, 0);
  assert.equal(batch?.places, "/staging/a\0/staging/b/empty\0/staging/b/c");
  assert.deepEqual([...batch?.sizes ?? []], [12, 0, 1]);
  assert.equal(Buffer.from(batch?.bytes ?? []).toString("latin1", 0, 13), "content of ac");
  assert.deepEqual([...batch?.modes ?? []], [0o640, 0o640, 0o640]);
  assert.deepEqual([...batch?.mtimesNs ?? []], Array.from({ length: 3 }, () => facts.mtimeNs));
  assert.deepEqual([...written].map(([path, { size }]) => [path, size]), [["a", 12], ["b/empty", 0], [
    "b/c",
    1,
  ]]);
});

test("a batch goes once it has 256 files, and once the next content has no room in its 1 MiB", async () => {
  const threads = new FakeThreads();
  const { batches, take } = taking(threads);
  for (let at = 0; at <= 256; at++) take(`small ${at}`, Buffer.from("x"));
  assert.deepEqual(threads.given.map(({ sizes }) => sizes.length), [256]);
  take("half", new Uint8Array(512 * 1024));
  assert.equal(threads.given.length, 1);
  take("more than half", new Uint8Array(512 * 1024));
  assert.deepEqual(threads.given.map(({ sizes }) => sizes.length), [256, 2]);
  const settling = batches.settle();
  threads.succeed();
  await settling;
  assert.deepEqual(threads.given.map(({ sizes }) => sizes.length), [256, 2, 1]);
});

test("nothing is begun where no thread is free, and what was begun is filled", async () => {
  const threads = new FakeThreads();
  const { batches, take } = taking(threads);
  threads.isFree = false;
  assert.equal(take("a", Buffer.from("a")), false);
  threads.isFree = true;
  assert.equal(take("b", Buffer.from("b")), true);
  threads.isFree = false;
  assert.equal(take("c", Buffer.from("c")), true);
  const settling = batches.settle();
  threads.succeed();
  await settling;
  assert.deepEqual(threads.given.map(({ places }) => places), ["/staging/b\0/staging/c"]);
});

test("settle() throws once all batches have ended, and says which file it was, as of any other", async () => {
  const threads = new FakeThreads();
  const { batches, take } = taking(threads);
  take("a", Buffer.from("a"));
  const settling = batches.settle();
  threads.fail(Object.assign(new Error("no space left"), { code: "ENOSPC", place: "/staging/b" }));
  await assert.rejects(settling, cacheError("no_space", /^Cannot write "\/staging\/b" on this pod: ENOSPC$/));
  // It stays so: what was not written is not there.
  await assert.rejects(batches.settle(), cacheError("no_space"));
});

test("where a thread itself fails, the first file of its batch is named", async () => {
  const threads = new FakeThreads();
  const { batches, take } = taking(threads);
  take("a", Buffer.from("a"));
  const settling = batches.settle();
  threads.fail(new Error("a thread that writes files ended"));
  await assert.rejects(
    settling,
    cacheError("local_io", /^Cannot write "\/staging\/a" on this pod: a thread/),
  );
});

test("settle() of nothing does nothing", async () => {
  const threads = new FakeThreads();
  await taking(threads).batches.settle();
  assert.equal(threads.given.length, 0);
});
