import assert from "node:assert/strict";
import { test } from "node:test";
import { CacheError } from "../lib/errors.ts";
import { parseKey } from "../lib/key.ts";
import { type Mark, markBadLayer, putMark, readMarks } from "../lib/marks.ts";
import { memoryStore } from "../lib/store/memory.ts";
import { maxMarks, type Store } from "../lib/store.ts";
import { FakeClock } from "./fake_clock.ts";
import { atEveryCall, countingRandom, intercept } from "./pods.ts";
import { exampleKey as key, exampleLayerName } from "./store/examples.ts";

const layer = exampleLayerName("a");
const other = exampleLayerName("b");
const content = "c0".repeat(32);

function newStore(clock = new FakeClock()): Store {
  return memoryStore({ clock, random: countingRandom() });
}

/** What the marks of `key` say. */
async function said(store: Store): Promise<Mark[]> {
  return (await readMarks(store, key)).map(({ name: _, madeMs: __, ...mark }) => mark);
}

test("what was put is read back, with its name and its time by the store's clock", async () => {
  const clock = new FakeClock(1_000_000);
  const store = newStore(clock);
  await putMark(store, key, { kind: "bad_layer", layer });
  await clock.advance(5_000);
  await putMark(store, key, { kind: "candidates", layers: [other, layer] });
  await putMark(store, key, { kind: "suspect", content });
  const names = (await store.marks(key)).map(({ name }) => name);
  assert.deepEqual(await readMarks(store, key), [
    { kind: "bad_layer", layer, name: names[0], madeMs: 1_000_000 },
    { kind: "candidates", layers: [other, layer], name: names[1], madeMs: 1_005_000 },
    { kind: "suspect", content, name: names[2], madeMs: 1_005_000 },
  ]);
});

test("a mark is one line of JSON, and says nothing but what it must", async () => {
  const store = newStore();
  const marks: readonly (Mark & { note: string })[] = [
    { kind: "bad_layer", layer, note: "x" },
    { kind: "candidates", layers: [layer], note: "x" },
    { kind: "suspect", content, note: "x" },
  ];
  for (const mark of marks) await putMark(store, key, mark);
  assert.deepEqual((await store.marks(key)).map(({ bytes }) => new TextDecoder().decode(bytes)), [
    `{"kind":"bad_layer","layer":"${layer}"}\n`,
    `{"kind":"candidates","layers":["${layer}"]}\n`,
    `{"content":"${content}","kind":"suspect"}\n`,
  ]);
});

test("the marks of another key are not this one's", async () => {
  const store = newStore();
  await putMark(store, parseKey("another", "key"), { kind: "bad_layer", layer });
  assert.deepEqual(await readMarks(store, key), []);
  await markBadLayer(store, key, layer);
  assert.deepEqual(await said(store), [{ kind: "bad_layer", layer }]);
});

const notMarks: readonly string[] = [
  "",
  "\n",
  "null",
  "1",
  "[]",
  "{}",
  '"bad_layer"',
  '{"kind":"bad_layer"}',
  `{"layer":"${layer}"}`,
  `{"kind":"bad_layer","layer":"${layer}"`,
  `{"kind":"bad_layer","layers":["${layer}"]}`,
  `{"kind":"worse_layer","layer":"${layer}"}`,
  '{"kind":"bad_layer","layer":"../../format.json"}',
  `{"kind":"bad_layer","layer":"${layer}/.."}`,
  `{"kind":"bad_layer","layer":"x${layer}"}`,
  `{"kind":"bad_layer","layer":["${layer}"]}`,
  `{"kind":"candidates","layers":"${layer}"}`,
  `{"kind":"candidates","layer":"${layer}"}`,
  `{"kind":"candidates","layers":["${layer}","passwd"]}`,
  `{"kind":"candidates","layers":["${layer}",1]}`,
  `{"kind":["candidates"],"layers":[]}`,
  '{"kind":"suspect"}',
  '{"kind":"suspect","content":""}',
  `{"kind":"suspect","content":"${content.slice(1)}"}`,
  `{"kind":"suspect","content":"${content}0"}`,
  `{"kind":"suspect","content":"${content.toUpperCase()}"}`,
  `{"kind":"suspect","content":["${content}"]}`,
  `{"kind":"suspect","layer":"${layer}"}`,
];

test("what is no mark is passed over, wherever it stands among those that are", async () => {
  const store = newStore();
  const putText = (text: string) => store.putMark(key, new TextEncoder().encode(text));
  await putMark(store, key, { kind: "bad_layer", layer });
  for (const text of notMarks) await putText(text);
  await store.putMark(key, Uint8Array.of(0xff, 0xfe, 0x00, 0x7b));
  await putMark(store, key, { kind: "candidates", layers: [] });
  assert.deepEqual(await said(store), [{ kind: "bad_layer", layer }, { kind: "candidates", layers: [] }]);
});

test("a mark that is torn at any length is passed over", async () => {
  const text = new TextEncoder().encode(`{"kind":"candidates","layers":["${layer}","${other}"]}`);
  const store = newStore();
  for (let length = 0; length < text.length; length++) await store.putMark(key, text.subarray(0, length));
  assert.deepEqual(await readMarks(store, key), []);
  await store.putMark(key, text);
  assert.deepEqual(await said(store), [{ kind: "candidates", layers: [layer, other] }]);
});

test("a newer program's mark may say more, and never which file it is or how old", async () => {
  const store = newStore(new FakeClock(77));
  const text = `{"kind":"bad_layer","layer":"${layer}","name":"forged","madeMs":1,"note":"n"}`;
  await store.putMark(key, new TextEncoder().encode(text));
  const [mark] = await readMarks(store, key);
  assert.ok(mark?.kind === "bad_layer");
  assert.equal(mark.layer, layer);
  assert.deepEqual([mark.name, mark.madeMs], [(await store.marks(key))[0]?.name, 77]);
});

test("readMarks() throws where the store fails: that is not the same as no mark", async () => {
  const failing = intercept(newStore(), () => {
    throw new CacheError("store_io", "the share failed");
  });
  await assert.rejects(() => readMarks(failing, key), { code: "store_io" });
  await assert.rejects(() => putMark(failing, key, { kind: "bad_layer", layer }), { code: "store_io" });
});

test("markBadLayer() marks a layer once, however many readers find it bad", async () => {
  const store = newStore();
  for (let reader = 0; reader < 5; reader++) await markBadLayer(store, key, layer);
  await markBadLayer(store, key, other);
  await markBadLayer(store, key, layer);
  assert.deepEqual(await said(store), [{ kind: "bad_layer", layer }, { kind: "bad_layer", layer: other }]);
});

test("markBadLayer() is not put off by a mark of another kind that names the layer", async () => {
  const store = newStore();
  await putMark(store, key, { kind: "candidates", layers: [layer] });
  await markBadLayer(store, key, layer);
  assert.deepEqual((await said(store)).map(({ kind }) => kind), ["candidates", "bad_layer"]);
});

test("markBadLayer() adds nothing to so many marks that not all are looked at: every reader would", async () => {
  const store = newStore();
  for (let at = 1; at < maxMarks; at++) {
    await store.putMark(key, new TextEncoder().encode("a newer program's"));
  }
  await markBadLayer(store, key, layer);
  await markBadLayer(store, key, other);
  assert.deepEqual(await said(store), [{ kind: "bad_layer", layer }]);
  const [known] = await readMarks(store, key);
  await store.removeMark(key, known?.name ?? "");
  await markBadLayer(store, key, other);
  assert.deepEqual(await said(store), [{ kind: "bad_layer", layer: other }]);
});

test("markBadLayer() never throws, whatever the store cannot do", async () => {
  for (const error of [new CacheError("store_io", "EROFS"), new Error("a defect"), "not even an error"]) {
    const calls = await atEveryCall(async (point) => {
      const store = newStore();
      const fail = () => {
        throw error;
      };
      await markBadLayer(intercept(store, point.once(fail)), key, layer);
      assert.equal((await readMarks(store, key)).length, point.reached ? 0 : 1);
    });
    assert.deepEqual(calls, ["marks", "putMark"]);
  }
});
