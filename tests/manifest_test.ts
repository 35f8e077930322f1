import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeGeneration,
  type Expected,
  type Manifest,
  maxGenerationNumber,
  parseGeneration,
} from "../lib/manifest.ts";
import { parseKey } from "../lib/key.ts";
import {
  cacheError,
  exampleKey,
  exampleLayer,
  exampleLayerName,
  exampleManifest,
  exampleStoreId,
  sealed,
} from "./store/examples.ts";

const expected: Expected = { storeId: exampleStoreId, key: exampleKey, n: 7 };

function problemOf(bytes: Uint8Array): string {
  const parsed = parseGeneration(bytes, expected);
  return parsed.kind === "invalid" ? parsed.problem : "none";
}

/** What is wrong with a generation file that holds this, whole and rightly sealed. */
function problemWith(value: unknown): string {
  return problemOf(sealed(JSON.stringify(value)));
}

test("encodeGeneration() writes the manifest as one line of canonical JSON, and its seal as another", () => {
  const a = "a".repeat(64);
  const line = `{"cold_start":61.5,"condemned":["${exampleLayerName("e")}"],` +
    '"created_at":"2026-01-02T03:04:05.678Z","environment":{"accelerator":"cuda","cpu_isa":null,' +
    '"devices":["NVIDIA H100 80GB HBM3"]},"format":1,"key":"llama-8b","layers":[{"bytes":1300,"files":3,' +
    `"index":{"bytes":300,"offset":1000,"sha256":"${"b".repeat(64)}"},` +
    `"name":"${a}-${"a".repeat(32)}.tar.zst","raw_bytes":5120}],"n":7,"nonce":"${"d".repeat(32)}",` +
    `"parent":{"n":5,"sha256":"${"c".repeat(64)}"},` +
    '"roots":{"inductor":{"path":"/tmp/torchinductor_root"}},' +
    '"store_id":"00112233445566778899aabbccddeeff","written_by":"b10-compile-cache 0.1.0"}';
  const sha256 = createHash("sha256").update(line).digest("hex");
  const encoded = encodeGeneration(exampleManifest());
  assert.equal(new TextDecoder().decode(encoded.bytes), `${line}\n{"sha256":"${sha256}","signatures":[]}\n`);
  assert.equal(encoded.sha256, sha256);
});

const hex = (digits: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: digits, maxLength: digits });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const layerName = fc.tuple(hex(64), hex(32)).map(([sha256, nonce]) => `${sha256}-${nonce}.tar.zst`);
const text = fc.string({ unit: "grapheme", maxLength: 8 });
const fact = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text, { maxLength: 3 }));
const rootName = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,10}$/);

const layer = fc.record({
  name: layerName,
  place: fc.tuple(fc.nat(), fc.nat()),
  indexSha256: hex(64),
  files: count,
  raw_bytes: count,
  replaces: fc.option(fc.array(layerName, { maxLength: 2 })),
}).map(({ name, place: [offset, bytes], indexSha256, files, raw_bytes, replaces }) => ({
  name,
  bytes: offset + bytes,
  index: { offset, bytes, sha256: indexSha256 },
  files,
  raw_bytes,
  ...(replaces ? { replaces } : {}),
}));

const manifest: fc.Arbitrary<Manifest> = fc.record({
  format: fc.constant<1>(1),
  store_id: hex(32),
  key: fc.constantFrom("llama-8b", "f".repeat(64)),
  environment: fc.dictionary(fc.constantFrom("accelerator", "devices", "cuda", "torch"), fact, {
    noNullPrototype: true,
  }),
  n: fc.integer({ min: 2, max: maxGenerationNumber }),
  parent: fc.option(fc.record({ n: fc.constant(1), sha256: hex(64) }, { noNullPrototype: true })),
  nonce: hex(32),
  created_at: fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true }).map((date) =>
    date.toISOString()
  ),
  written_by: text,
  roots: fc.dictionary(rootName, fc.record({ path: text }, { noNullPrototype: true }), {
    noNullPrototype: true,
  }),
  layers: fc.uniqueArray(layer, { selector: ({ name }) => name, maxLength: 3 }),
  condemned: fc.array(layerName, { maxLength: 2 }),
  cold_start: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }).map((seconds) => seconds + 0)),
}, { noNullPrototype: true });

test("parseGeneration() reads what encodeGeneration() wrote, with the digest that successors name", () => {
  fc.assert(fc.property(manifest, (written) => {
    const { bytes, sha256 } = encodeGeneration(written);
    const parsed = parseGeneration(bytes, {
      storeId: written.store_id,
      key: parseKey(written.key, "key"),
      n: written.n,
    });
    assert.deepEqual(parsed, { kind: "valid", generation: { manifest: written, sha256 } });
    assert.equal(sha256, createHash("sha256").update(bytes.subarray(0, bytes.indexOf(0x0a))).digest("hex"));
  }));
});

test("parseGeneration() takes an empty list of layers, no parent, and a compacted layer", () => {
  for (
    const written of [
      exampleManifest({ layers: [], condemned: [] }),
      exampleManifest({ parent: null, cold_start: null }),
      exampleManifest({
        layers: [exampleLayer({ replaces: [exampleLayerName("1"), exampleLayerName("2")] })],
      }),
    ]
  ) {
    assert.equal(problemOf(encodeGeneration(written).bytes), "none");
  }
});

test("parseGeneration() does not mind the order of keys nor white space, but for line ends", () => {
  const { cold_start, ...rest } = exampleManifest();
  const line = JSON.stringify({ ...rest, cold_start }).replaceAll('","', '", "');
  assert.equal(problemOf(sealed(line)), "none");
});

test("a generation file with any single byte changed is invalid", () => {
  const { bytes } = encodeGeneration(exampleManifest());
  for (let at = 0; at < bytes.length; at++) {
    for (const change of [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ change;
      assert.notEqual(problemOf(damaged), "none", `byte ${at} xor ${change}`);
    }
  }
});

test("a generation file of any smaller length is invalid", () => {
  const { bytes } = encodeGeneration(exampleManifest());
  for (let length = 0; length < bytes.length; length++) {
    assert.notEqual(problemOf(bytes.subarray(0, length)), "none", `${length} bytes`);
  }
});

test("a generation file that goes on after its seal is invalid", () => {
  const { bytes } = encodeGeneration(exampleManifest());
  const tails = [
    "x",
    "{}",
    "{}\n",
    "\0",
    "\0\n",
    "\n",
    " \n",
    "\r\n",
    "\0".repeat(4096),
    new TextDecoder().decode(bytes),
  ];
  for (const tail of tails) {
    const longer = Buffer.concat([bytes, Buffer.from(tail)]);
    assert.equal(problemOf(longer), "its second line is not a seal", JSON.stringify(tail));
  }
});

test("a seal is written in one way only", () => {
  const [line = "", seal = ""] = new TextDecoder().decode(encodeGeneration(exampleManifest()).bytes).split(
    "\n",
  );
  const { sha256 } = JSON.parse(seal);
  const others = [
    `\ufeff${seal}`,
    ` ${seal}`,
    `${seal} `,
    `{"sha256": "${sha256}", "signatures": []}`,
    `{"signatures":[],"sha256":"${sha256}"}`,
    `{"sha256":"${sha256}","sha256":"${sha256}","signatures":[]}`,
  ];
  for (const other of others) {
    assert.equal(problemOf(Buffer.from(`${line}\n${other}\n`)), "its second line is not a seal", other);
  }
  assert.notEqual(problemOf(sealed(`\ufeff${line}`)), "none");
});

test("parseGeneration() says where a file stops being a generation", () => {
  const { bytes } = encodeGeneration(exampleManifest());
  const line = bytes.subarray(0, bytes.indexOf(0x0a));
  const lines = (seal: unknown) => Buffer.concat([line, Buffer.from(`\n${JSON.stringify(seal)}\n`)]);
  const sha256 = createHash("sha256").update(line).digest("hex");
  const noSeal = "its second line is not a seal";
  const examples: readonly (readonly [Uint8Array, string])[] = [
    [new Uint8Array(0), "it ends within its first line"],
    [line, "it ends within its first line"],
    [new Uint8Array(4096), "it ends within its first line"],
    [new Uint8Array(4096).fill(0x0a), noSeal],
    [bytes.subarray(0, -1), noSeal],
    [lines(null), noSeal],
    [lines({ sha256 }), noSeal],
    [lines({ signatures: [] }), noSeal],
    [lines({ sha256: sha256.toUpperCase(), signatures: [] }), noSeal],
    [lines({ sha256, signatures: [], more: 1 }), noSeal],
    [lines({ sha256, signatures: [{ key_id: "a" }] }), noSeal],
    [lines({ sha256, signatures: [{ key_id: "a", signature: "b", more: 1 }] }), noSeal],
    [lines({ sha256: "0".repeat(64), signatures: [] }), "its seal does not match its first line"],
    [lines({ sha256, signatures: [{ key_id: "a", signature: "b" }] }), "none"],
  ];
  for (const [file, problem] of examples) assert.equal(problemOf(file), problem);
});

test("a first line that is no manifest is invalid, however well it is sealed", () => {
  for (const line of ["", "{", "null", "[]", "1", '"text"', "{}", "not JSON"]) {
    assert.notEqual(problemOf(sealed(line)), "none", line);
  }
  // "\xff" is no UTF-8: it must not be read as U+FFFD.
  const text = JSON.stringify(exampleManifest({ written_by: "X" }));
  const bytes = Buffer.from(text);
  bytes[bytes.indexOf("X")] = 0xff;
  assert.notEqual(problemOf(sealed(bytes)), "none");
});

const contradictions: readonly (readonly [Partial<Manifest>, string])[] = [
  [{ store_id: "f".repeat(32) }, `it belongs to another store, ${"f".repeat(32)}`],
  [{ key: "llama-70b" }, 'it belongs to another key, "llama-70b"'],
  [{ n: 8 }, "it says it is number 8"],
  [{ parent: { n: 7, sha256: "c".repeat(64) } }, "its parent is number 7"],
  [{ parent: { n: 8, sha256: "c".repeat(64) } }, "its parent is number 8"],
  [{ layers: [exampleLayer(), exampleLayer()] }, "it names a layer twice"],
  [{ condemned: [exampleLayerName("e"), exampleLayerName("a")] }, "it names a layer that it condemns"],
  [
    { layers: [exampleLayer({ bytes: 1301 })] },
    `the index of layer ${exampleLayerName("a")} does not end where the layer does`,
  ],
  [
    { layers: [exampleLayer(), exampleLayer({ name: exampleLayerName("1"), bytes: 1299 })] },
    `the index of layer ${exampleLayerName("1")} does not end where the layer does`,
  ],
];

test("a manifest that contradicts itself, its name or its place is invalid, whoever sealed it", () => {
  for (const [overrides, problem] of contradictions) {
    assert.equal(problemOf(encodeGeneration(exampleManifest(overrides)).bytes), problem);
  }
});

/** Values that break the rule of a field; the first problem names it. */
const brokenFields: readonly (readonly [string, readonly unknown[]])[] = [
  ["format", [0, -1, 1.5, "1", "2", null, [2]]],
  ["store_id", ["", "F".repeat(32), "f".repeat(31), "f".repeat(33), 1, null]],
  ["key", [1, null]],
  ["environment", [null, "text", 1]],
  ["environment.fact", [{}, [1], [null]]],
  ["n", [0, -1, 1.5, "7", maxGenerationNumber + 1, null]],
  ["parent", ["text", 1]],
  ["parent.n", [0, 1.5, "5", null]],
  ["parent.sha256", ["c".repeat(63), "C".repeat(64), null]],
  ["nonce", ["d".repeat(31), "D".repeat(32), null]],
  ["created_at", ["", "yesterday", "2026-01-02", 1_760_000_000, null]],
  ["written_by", [1, null]],
  ["roots", [null, "text"]],
  ["roots.Inductor", [{ path: "/tmp" }]],
  ["roots.-a", [{ path: "/tmp" }]],
  ["roots.inductor", [null, "/tmp"]],
  ["roots.inductor.path", [1, null]],
  ["layers", [null, "text", {}]],
  ["layers.0", [null, "text"]],
  ["layers.0.name", ["", "../up", exampleLayerName("a").toUpperCase(), `${exampleLayerName("a")}.gz`, null]],
  ["layers.0.bytes", [-1, 1.5, "1300", 2 ** 53, null]],
  ["layers.0.index", [null, 1]],
  ["layers.0.index.offset", [-1, 1.5, "1000", null]],
  ["layers.0.index.bytes", [-1, 1.5, "300", null]],
  ["layers.0.index.sha256", ["b".repeat(65), "B".repeat(64), null]],
  ["layers.0.files", [-1, 1.5, "3", null]],
  ["layers.0.raw_bytes", [-1, 1.5, "5120", 2 ** 53, null]],
  ["layers.0.replaces", [null, "text"]],
  ["layers.0.replaces.0", ["text", null]],
  ["condemned", [null, "text"]],
  ["condemned.0", ["text", null]],
  ["cold_start", [-1, "61.5"]],
];

/** A copy of `value` with `field` ("layers.0.name") set, or left out where it is undefined. */
function withField(value: unknown, field: string, member: unknown): unknown {
  const dot = field.indexOf(".");
  const name = dot < 0 ? field : field.slice(0, dot);
  const inner = dot < 0 ? member : withField(Reflect.get(Object(value), name), field.slice(dot + 1), member);
  if (Array.isArray(value) || name === "0") return [inner];
  return { ...Object(value), [name]: inner };
}

test("a manifest with a value that breaks its field's rule is invalid, and the problem names the field", () => {
  for (const [field, values] of brokenFields) {
    for (const value of values) {
      const problem = problemWith(withField(exampleManifest(), field, value));
      assert.ok(problem.startsWith(`${field}: `), `${field} = ${JSON.stringify(value)}: ${problem}`);
    }
  }
});

test("a manifest that lacks a field, or has one that is not known, is invalid", () => {
  const optional = new Set(["layers.0.replaces"]);
  const lists = /(^|\.)(0|fact|inductor|Inductor|-a)$/;
  for (const [field] of brokenFields) {
    if (optional.has(field) || field.includes("replaces") || lists.test(field)) continue;
    assert.notEqual(problemWith(withField(exampleManifest(), field, undefined)), "none", `no ${field}`);
  }
  for (
    const field of ["more", "parent.more", "roots.inductor.more", "layers.0.more", "layers.0.index.more"]
  ) {
    const problem = problemWith(withField(exampleManifest(), field, 1));
    assert.ok(problem.startsWith(`${field}: `), problem);
  }
});

test("a newer format with a right seal is no invalid generation but a store_unsupported", () => {
  for (const format of [2, 3, 1000]) {
    for (const value of [{ ...exampleManifest(), format }, { format }, { format, layers: "all new" }]) {
      assert.throws(
        () => problemWith(value),
        cacheError(
          "store_unsupported",
          new RegExp(
            `generation 7 of llama-8b as its format is ${format} and this program knows 1; use a newer`,
          ),
        ),
      );
    }
  }
});

test("a newer format without a right seal is invalid, as any damage may say it", () => {
  const bytes = Buffer.from(encodeGeneration(exampleManifest()).bytes);
  const at = bytes.indexOf('"format":1') + '"format":'.length;
  bytes[at] = "2".charCodeAt(0);
  assert.equal(problemOf(bytes), "its seal does not match its first line");
});

test("parseGeneration() throws on bytes of no kind, and takes none but those that were written", () => {
  const { bytes } = encodeGeneration(exampleManifest());
  const spliced = fc.tuple(
    fc.nat({ max: bytes.length }),
    fc.nat({ max: 40 }),
    fc.uint8Array({ maxLength: 40 }),
  ).map(
    ([at, removed, added]) => Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)]),
  );
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spliced), (any) => {
    const parsed = parseGeneration(any, expected);
    if (parsed.kind === "valid") assert.deepEqual(Buffer.from(any), Buffer.from(bytes));
  }));
});
