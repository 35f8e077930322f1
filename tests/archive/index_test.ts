import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeIndex, type LayerIndex, maxFrameRawBytes, parseIndex } from "../../lib/archive/index.ts";
import { messageOf } from "../../lib/errors.ts";
import { cacheError } from "../store/examples.ts";
import { textBytes } from "./examples.ts";

const example: LayerIndex = {
  format: 1,
  frames: [{ offset: 0, bytes: 400, raw_bytes: 2048, sha256: "a".repeat(64) }],
  files: [{
    path: "inductor/c3/kernel.py",
    size: 5,
    mode: 0o644,
    mtime: "1760000000123456789",
    sha256: "b".repeat(64),
    frame: 0,
    offset: 512,
  }],
};

test("encodeIndex() writes JSON with the fields of docs/format.md", () => {
  assert.equal(
    new TextDecoder().decode(encodeIndex(example)),
    `{"format":1,"frames":[{"offset":0,"bytes":400,"raw_bytes":2048,"sha256":"${"a".repeat(64)}"}],` +
      '"files":[{"path":"inductor/c3/kernel.py","size":5,"mode":420,"mtime":"1760000000123456789",' +
      `"sha256":"${"b".repeat(64)}","frame":0,"offset":512}]}`,
  );
});

const hex = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 64, maxLength: 64 });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const frame = fc.record(
  { offset: count, bytes: count, raw_bytes: fc.integer({ min: 1, max: maxFrameRawBytes }), sha256: hex },
  { noNullPrototype: true },
);
const file = fc.record({
  path: fc.string({ unit: "grapheme" }),
  size: count,
  mode: fc.integer({ min: 0, max: 0o777 }),
  mtime: fc.bigInt({ min: -(10n ** 19n) + 1n, max: 10n ** 19n - 1n }).map(String),
  sha256: hex,
  frame: count,
  offset: count,
}, { noNullPrototype: true });

test("parseIndex() reads what encodeIndex() wrote", () => {
  const index = fc.record(
    {
      format: fc.constant<1>(1),
      frames: fc.array(frame, { maxLength: 3 }),
      files: fc.array(file, { maxLength: 3 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(fc.property(index, (written) => {
    assert.deepEqual(parseIndex(encodeIndex(written), "a layer"), written);
  }));
});

test("parseIndex() says which layer's index is no JSON, and keeps the cause", () => {
  const texts = ["", "{", "\0", JSON.stringify(example).slice(0, -1), `${JSON.stringify(example)}x`];
  for (const bytes of [...texts.map(textBytes), Uint8Array.from([0x22, 0xff, 0x22])]) {
    assert.throws(
      () => parseIndex(bytes, "abc.tar.zst"),
      (error) =>
        cacheError("bad_index", /^Cannot use layer abc\.tar\.zst as its index is not JSON$/)(error) &&
        error instanceof Error && error.cause instanceof Error,
    );
  }
});

/** Values that break the rule of a field. */
const broken: readonly (readonly [string, readonly unknown[]])[] = [
  ["format", [0, 2, "1", null, undefined]],
  ["frames", [null, {}, "", undefined]],
  ["frames.0", [null, 1, "frame"]],
  ["frames.0.offset", [-1, 0.5, "0", 2 ** 53, null, undefined]],
  ["frames.0.bytes", [-1, 0.5, "400", 2 ** 53, null, undefined]],
  ["frames.0.raw_bytes", [0, -512, 0.5, "512", maxFrameRawBytes + 1, null, undefined]],
  ["frames.0.sha256", ["a".repeat(63), "A".repeat(64), "g".repeat(64), 1, null, undefined]],
  ["frames.0.more", [1]],
  ["files", [null, {}, "", undefined]],
  ["files.0", [null, 1, "inductor/a"]],
  ["files.0.path", [1, null, ["a"], undefined]],
  ["files.0.size", [-1, 0.5, "5", 2 ** 53, null, undefined]],
  ["files.0.mode", [-1, 0o1000, 0o4755, 0.5, "644", null, undefined]],
  ["files.0.mtime", [1_760_000_000, "", "1.5", "01", "+1", "1e9", " 1", "1".repeat(20), null, undefined]],
  ["files.0.sha256", ["b".repeat(65), "B".repeat(64), null, undefined]],
  ["files.0.frame", [-1, 0.5, "0", null, undefined]],
  ["files.0.offset", [-1, 0.5, "512", null, undefined]],
  ["files.0.type", ["symlink"]],
  ["files.0.linkname", ["/etc/passwd"]],
  ["more", [1]],
];

/** A copy of the example with one field, "files.0.path", set or left out. */
function withField(field: string, value: unknown): unknown {
  const copy: unknown = structuredClone(example);
  const names = field.split(".");
  const last = names.pop() ?? "";
  let at: unknown = copy;
  for (const name of names) at = Reflect.get(Object(at), name);
  Reflect.set(Object(at), last, value);
  return copy;
}

test("parseIndex() refuses whatever breaks a field's rule, and names layer and field", () => {
  for (const [field, values] of broken) {
    for (const value of values) {
      const text = JSON.stringify(withField(field, value));
      assert.throws(() => parseIndex(textBytes(text), "abc.tar.zst"), (error) => {
        const says = `Cannot use layer abc.tar.zst as its index is not of the right shape: ${field} `;
        assert.ok(cacheError("bad_index")(error) && messageOf(error).startsWith(says), `${text}: ${error}`);
        return true;
      });
    }
  }
});

test("parseIndex() refuses any other JSON value", () => {
  for (const text of ["null", "1", '""', "[]", "{}", "true"]) {
    assert.throws(() => parseIndex(textBytes(text), "x"), cacheError("bad_index"), text);
  }
});

test("parseIndex() takes an index without files or frames", () => {
  const empty: LayerIndex = { format: 1, frames: [], files: [] };
  assert.deepEqual(parseIndex(encodeIndex(empty), "x"), empty);
});

test("what is taken without a look at each rule is taken by each rule, field by field, and nothing is taken for what it is not", () => {
  const anyValue = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(-1, 0.5, 2 ** 53, "0", "", null, 0o777, 0o1000, "b".repeat(64), "1".repeat(19)),
  );
  const field = fc.constantFrom(...broken.map(([name]) => name).filter((name) => name.includes(".")));
  fc.assert(
    fc.property(field, anyValue, (name, value) => {
      const text = textBytes(JSON.stringify(withField(name, value)));
      // With a field that counts as absent besides, only the rules themselves judge.
      const strict = JSON.parse(new TextDecoder().decode(text));
      const judged = textBytes(JSON.stringify({ ...strict, files: [...strict.files, replaced] }));
      const isTaken = (bytes: Uint8Array) => {
        try {
          return parseIndex(bytes, "x") !== undefined;
        } catch {
          return false;
        }
      };
      assert.equal(isTaken(text), isTaken(judged));
    }),
    { numRuns: 2000 },
  );
});

/** A file that the quick look leaves to the rules. */
const replaced = { ...example.files[0], path: "inductor/replaced", replacements: 1 };
