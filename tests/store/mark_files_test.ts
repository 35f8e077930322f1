import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { exampleKey as key, failure } from "./examples.ts";
import { failEachCall } from "./faults.ts";
import { Place, type Wrap } from "./place.ts";

const bytes = new TextEncoder().encode('{"kind":"bad_layer"}\n');
const text = (mark: { bytes: Uint8Array }) => Buffer.from(mark.bytes).toString();

test("a mark is a file of its own below marks/, with its bytes", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putMark(key, bytes);
  const [file = ""] = place.tree(`${key}/marks`);
  assert.match(file, /^llama-8b\/marks\/[0-9a-f]{32}\.json$/);
  assert.equal(place.read(file), '{"kind":"bad_layer"}\n');
  const [mark] = await store.marks(key);
  assert.equal(`${key}/marks/${mark?.name}`, file);
  assert.deepEqual(place.tree(`${key}/incoming`), []);
});

test("what no program of ours has put below marks/ is passed over", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putMark(key, bytes);
  const names = [
    "notes.txt",
    `${"a".repeat(31)}.json`,
    `${"A".repeat(32)}.json`,
    `${"a".repeat(32)}.json.tmp`,
  ];
  for (const name of names) place.write(`${key}/marks/${name}`, "foreign");
  fs.mkdirSync(place.at(`${key}/marks/${"d".repeat(32)}.json`));
  assert.deepEqual((await store.marks(key)).map(text), ['{"kind":"bad_layer"}\n']);
});

test("a mark that is removed while they are listed is passed over", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  for (const content of ["a", "b"]) await store.putMark(key, Buffer.from(content));
  const gone = place.tree(`${key}/marks`)[0] ?? assert.fail();
  for (const call of ["open", "stat"] as const) {
    const racing: Wrap = (over) => ({
      ...over,
      [call]: (file: string, mode: "r") =>
        file === place.at(gone) ? Promise.reject(failure("ENOENT")) : over[call](file, mode),
    });
    assert.equal((await (await place.opened(racing)).marks(key)).length, 1);
  }
});

test("what is larger than a mark may be is none, and never in memory as a whole", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  await store.putMark(key, bytes);
  const name = (digit: string) => `${key}/marks/${digit.repeat(32)}.json`;
  place.write(name("a"), "");
  fs.truncateSync(place.at(name("a")), 2 ** 40);
  place.write(name("b"), "b".repeat(64 * 1024 + 1));
  place.write(name("c"), "c".repeat(64 * 1024));
  assert.deepEqual((await store.marks(key)).map((mark) => mark.bytes.length).toSorted((a, b) => a - b), [
    bytes.length,
    64 * 1024,
  ]);
});

test("of very many marks a thousand are read", async () => {
  using place = new Place();
  const store = await place.openOrCreate();
  for (let at = 0; at < 1_003; at++) {
    place.write(`${key}/marks/${at.toString(16).padStart(32, "0")}.json`, `${at}`);
  }
  const marks = await store.marks(key);
  assert.deepEqual(marks.map(text), Array.from({ length: 1_000 }, (_, at) => `${at}`));
});

test("whichever call fails while a mark is put, it is there whole or not at all, and nothing is left", async () => {
  const failed = await failEachCall("EIO", async (faults, arm) => {
    using place = new Place();
    const store = await place.openOrCreate(faults.over);
    arm();
    const ended = await store.putMark(key, bytes).then(() => "put", (error: { code: string }) => error.code);
    faults.heal();
    assert.equal(faults.openFiles, 0, faults.last);
    assert.deepEqual((await store.marks(key)).map(text), ended === "put" ? ['{"kind":"bad_layer"}\n'] : []);
    if (ended !== "put") assert.equal(ended, "store_io");
    assert.deepEqual(place.tree(`${key}/incoming`), [], faults.last);
  });
  assert.ok(failed > 6, `only ${failed} calls were made to fail`);
});
