/** What fuzzes the three parsers: valid statements, indexes and archives, made wrong by knowing their structure. */
import assert from "node:assert/strict";
import * as zlib from "node:zlib";
import fc from "fast-check";
import { parseIndex } from "../../lib/archive/index.ts";
import { planLayers } from "../../lib/archive/plan.ts";
import { entryPathProblem } from "../../lib/entry_path.ts";
import { maxEntries, maxFileBytes, pathConflicts } from "../../lib/entry_rules.ts";
import { CacheError } from "../../lib/errors.ts";
import { readArchive, surveyArchive } from "../../lib/foreign/archive.ts";
import { parseGeneration } from "../../lib/manifest.ts";
import { memoryFile } from "../foreign/memory_file.ts";
import { endMark, type Entry, entry, gnuMagic, long, pax, posixMagic } from "../foreign/tar_writer.ts";
import {
  exampleKey,
  exampleLayer,
  exampleLayerName,
  exampleManifest,
  exampleStoreId,
  sealed,
} from "../store/examples.ts";

/** Names that have meant something to somebody. */
const hostileText = fc.oneof(
  fc.constantFrom(
    "",
    ".",
    "..",
    "/",
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "a\0b",
    "a\\b",
    "C:x",
    "__proto__",
    "constructor",
    "toString",
    "\u001b[2J",
    "\u009b",
    "\u202e",
    "\n",
    "\ud800",
    "\ufffd",
    "x".repeat(300),
    "d/".repeat(200),
    ".b10-00000000000000000000000000000000/x",
    "inductor/a",
    "inductor/a/b",
    "inductor",
    "a.lock",
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);

const hostileNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 1, 0.5, 511, 512, 513, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e21, 1e308),
  fc.nat({ max: 4096 }),
);

const hostileValue = fc.oneof(
  hostileText,
  hostileNumber,
  fc.constantFrom<unknown>(null, true, [], {}, [[]], [null], { path: "x" }),
);

/** One step of a change: where in a JSON value, chosen by numbers, and what stands there instead. */
const change = fc.record({
  steps: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
  how: fc.constantFrom("replace", "remove", "repeat", "add"),
  value: hostileValue,
  name: hostileText,
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** @returns the value with a change somewhere below it. */
function changed(value: unknown, { steps, how, value: other, name }: Change): unknown {
  const [step = 0, ...rest] = steps;
  if (typeof value !== "object" || value === null) return other;
  if (Array.isArray(value)) {
    if (value.length === 0) return [other];
    const at = step % value.length;
    const below: unknown = value[at];
    if (rest.length > 0) return value.with(at, changed(below, { steps: rest, how, value: other, name }));
    if (how === "remove") return value.toSpliced(at, 1);
    if (how === "repeat" || how === "add") return [...value, how === "add" ? other : below];
    return value.with(at, other);
  }
  const members = Object.entries(value);
  const [field, below] = members[step % Math.max(members.length, 1)] ?? ["", undefined];
  if (rest.length > 0) return { ...value, [field]: changed(below, { steps: rest, how, value: other, name }) };
  if (how === "remove") return Object.fromEntries(members.filter(([known]) => known !== field));
  if (how === "add") return { ...value, [name]: other };
  return { ...value, [field]: other };
}

function changedAll(value: unknown, changes: readonly Change[]): unknown {
  return changes.reduce<unknown>((now, next) => changed(now, next), value);
}

/** Bytes that are cut, flipped, doubled or overwritten. */
const damage = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  how: fc.constantFrom("flip", "cut", "insert", "remove"),
  byte: fc.integer({ min: 0, max: 255 }),
});

function damaged(bytes: Uint8Array, all: readonly { at: number; how: string; byte: number }[]): Uint8Array {
  return all.reduce<Uint8Array>((now, { at, how, byte }) => {
    const place = Math.floor(at * now.length);
    const [before, after] = [now.subarray(0, place), now.subarray(place)];
    if (how === "cut") return before;
    if (how === "insert") return Buffer.concat([before, Uint8Array.of(byte), after]);
    if (how === "remove") return Buffer.concat([before, after.subarray(1)]);
    const copy = Uint8Array.from(now);
    if (copy.length > 0) copy[place] = byte;
    return copy;
  }, bytes);
}

const changes = fc.array(change, { maxLength: 3 });
const damages = fc.array(damage, { maxLength: 2 });

/** Only what the program itself says, of the right kind, on one line and not too long. */
function mustBeOwn(error: unknown, codes: RegExp): void {
  if (!(error instanceof CacheError)) throw error;
  assert.match(error.code, codes);
  mustBeShowable(error.message);
}

function mustBeShowable(text: string): void {
  assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  assert.ok(text.length < 4000, `${text.length} characters`);
}

/** What one parser is fuzzed with, and what holds for any answer of it. */
export interface Target {
  readonly name: string;
  readonly property: fc.IAsyncProperty<unknown>;
}

export const manifestTarget: Target = {
  name: "manifest",
  property: fc.asyncProperty(fc.tuple(changes, damages), async ([wrong, broken]) => {
    const line = JSON.stringify(changedAll(exampleManifest(), wrong)) ?? "";
    const bytes = damaged(sealed(line), broken);
    try {
      const parsed = parseGeneration(bytes, { storeId: exampleStoreId, key: exampleKey, n: 7 });
      if (parsed.kind !== "valid") return mustBeShowable(parsed.problem);
      const { manifest } = parsed.generation;
      assert.deepEqual([manifest.store_id, manifest.key, manifest.n], [exampleStoreId, exampleKey, 7]);
      const names = manifest.layers.map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      for (const name of names) assert.match(name, /^[0-9a-f]{64}-[0-9a-f]{32}\.tar\.zst$/);
    } catch (error) {
      mustBeOwn(error, /^store_unsupported$/);
    }
    await Promise.resolve();
  }),
};

const row = { mode: 0o666, mtime: "1760000000123456789", sha256: "b".repeat(64), frame: 0 };
const validIndex = {
  format: 1,
  frames: [
    { offset: 0, bytes: 600, raw_bytes: 4096, sha256: "a".repeat(64) },
    { offset: 600, bytes: 400, raw_bytes: 1024, sha256: "c".repeat(64) },
  ],
  files: [
    { ...row, path: "inductor/a", size: 5, offset: 512 },
    { ...row, path: "inductor/d/b", size: 3000, offset: 1024 },
    { ...row, path: "triton/twin", size: 5, offset: 512 },
    { ...row, path: "triton/empty", size: 0, offset: 0, replacements: 2 },
  ],
};

function claimsOf(index: unknown): { files: number; raw_bytes: number } {
  const files: unknown = Reflect.get(Object(index), "files");
  const rows: unknown[] = Array.isArray(files) ? files : [];
  const raw = rows.reduce<number>((sum, each) => sum + Number(Reflect.get(Object(each), "size") ?? 0), 0);
  return { files: rows.length, raw_bytes: raw };
}

export const indexTarget: Target = {
  name: "index",
  property: fc.asyncProperty(fc.tuple(changes, damages), async ([wrong, broken]) => {
    const said = changedAll(validIndex, wrong);
    const bytes = damaged(Buffer.from(JSON.stringify(said) ?? ""), broken);
    const layer = exampleLayer({
      bytes: 1300,
      index: { offset: 1000, bytes: 300, sha256: "d".repeat(64) },
      ...claimsOf(said),
    });
    try {
      const index = parseIndex(bytes, layer.name);
      const plan = planLayers([{ layer, index }]);
      assert.equal(plan.size, index.files.length);
      mustBeTree([...plan.keys()]);
      const total = index.frames.reduce((sum, frame) => sum + frame.raw_bytes, 0);
      for (const file of plan.values()) {
        assert.ok(file.size <= Math.min(maxFileBytes, total));
        assert.equal(file.mode & ~0o775, 0);
        assert.equal(file.layer, exampleLayerName("a"));
      }
    } catch (error) {
      mustBeOwn(error, /^bad_index$/);
    }
    await Promise.resolve();
  }),
};

function mustBeTree(paths: readonly string[]): void {
  assert.ok(paths.length <= maxEntries);
  assert.equal(new Set(paths).size, paths.length);
  for (const each of paths) assert.equal(entryPathProblem(each), undefined, each);
  assert.deepEqual(pathConflicts(new Set(paths)), []);
}

const entryName = fc.oneof(
  fc.constantFrom("./a", "./b", "a", "./a/b", "./c/", "./", "./locks/x", "./x.lock", "./.b10-1/x"),
  hostileText.map((text) => `./${text}`),
  hostileText,
);

const part: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      name: entryName.map((name) => Buffer.from(name).subarray(0, 100)),
      content: fc.oneof(fc.constant(""), fc.string({ maxLength: 600 })),
      type: fc.oneof(
        { weight: 5, arbitrary: fc.constant("0") },
        fc.constantFrom("1", "5", "2", "3", "6", "S", "g", "x", "L", "K", "\0", "\u00ff"),
      ),
      linkName: entryName.map((name) => name.slice(0, 20)),
      mode: fc.constantFrom(0o644, 0o777, 0o4755, 0, 0o7777777),
      magic: fc.constantFrom(gnuMagic, posixMagic, "ustar  x"),
      checksumError: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constant(1)),
    }).map((about: Entry) => entry(about)),
  },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom("path", "linkpath", "mtime", "size", "GNU.sparse.map", "x"),
      hostileText,
      { maxKeys: 3 },
    ).map((records) => pax(records)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom("L" as const, "K" as const), entryName).map(([type, name]) =>
      long(type, name)
    ),
  },
);

export const archiveTarget: Target = {
  name: "archive",
  property: fc.asyncProperty(
    fc.tuple(fc.array(part, { maxLength: 6 }), damages, damages, fc.boolean()),
    async ([parts, wrong, broken, ends]) => {
      const stream = damaged(Buffer.concat([...parts, ends ? endMark : new Uint8Array(0)]), wrong);
      const file = memoryFile(damaged(zlib.gzipSync(stream, { level: 1 }), broken));
      const { signal } = new AbortController();
      const archive = { name: "fuzzed", file };
      try {
        const survey = await surveyArchive(archive, { signal });
        const paths = [...survey.plan.files.keys()];
        mustBeTree(paths);
        const wanted = new Set(paths);
        await readArchive(archive, { survey, wanted, signal }, (each, content) => {
          assert.equal(content.length, each.size);
          assert.equal(each.mode & ~0o775, 0);
          assert.ok(wanted.delete(each.path));
        });
        assert.deepEqual([...wanted], [], "every planned file comes out");
      } catch (error) {
        mustBeOwn(error, /^bad_archive$/);
      }
    },
  ),
};

export const targets: readonly Target[] = [manifestTarget, indexTarget, archiveTarget];
