import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Frame, IndexedFile, LayerIndex } from "../../lib/archive/index.ts";
import { type LayerContents, planLayers, splitRoot } from "../../lib/archive/plan.ts";
import { pathConflicts } from "../../lib/entry_rules.ts";
import { CacheError } from "../../lib/errors.ts";
import type { Layer } from "../../lib/manifest.ts";
import { cacheError, exampleLayer, exampleLayerName } from "../store/examples.ts";

/** A file at a block of the one frame that `contents` has by default. */
function file(path: string, place: Partial<IndexedFile> = {}): IndexedFile {
  return { path, size: 5, mode: 0o644, mtime: "0", sha256: "b".repeat(64), frame: 0, offset: 512, ...place };
}

function frame(place: Partial<Frame> = {}): Frame {
  return { offset: 0, bytes: 1000, raw_bytes: 4096, sha256: "a".repeat(64), ...place };
}

/** A layer whose generation says the right things about it, but for `claims`. */
function contents(
  files: readonly IndexedFile[],
  { frames = [frame()], claims = {} }: { frames?: readonly Frame[]; claims?: Partial<Layer> } = {},
): LayerContents {
  const index: LayerIndex = { format: 1, frames: [...frames], files: [...files] };
  const stored = frames.reduce((sum, { bytes }) => sum + bytes, 0);
  const layer = exampleLayer({
    bytes: stored + 300,
    index: { offset: stored, bytes: 300, sha256: "c".repeat(64) },
    files: files.length,
    raw_bytes: files.reduce((sum, { size }) => sum + size, 0),
    ...claims,
  });
  return { layer, index };
}

function refuses(layers: readonly LayerContents[], problem: string): void {
  assert.throws(() => planLayers(layers), { name: "CacheError", code: "bad_index", message: problem });
}

/** As `refuses`, for one layer: the problem after its name. */
function refusesLayer(layer: LayerContents, problem: string): void {
  refuses([layer], `Cannot use layer ${exampleLayerName("a")} as ${problem}`);
}

test("planLayers() gives every file by its path, with the layer that holds it", () => {
  const files = [
    file("inductor/a"),
    file("inductor/d/b", { offset: 1024 }),
    file("triton/a", { offset: 1536 }),
  ];
  const plan = planLayers([contents(files)]);
  assert.deepEqual(
    [...plan.entries()],
    files.map((each) => [each.path, { ...each, layer: exampleLayerName("a") }]),
  );
});

test("planLayers() lets the later layer win where a path occurs again", () => {
  const older = contents([file("r/a"), file("r/b", { offset: 1024 })]);
  const newer = contents([file("r/b", { size: 7, sha256: "e".repeat(64) })], {
    claims: { name: exampleLayerName("1") },
  });
  const plan = planLayers([older, newer]);
  assert.equal(plan.size, 2);
  assert.equal(plan.get("r/a")?.layer, exampleLayerName("a"));
  assert.deepEqual(plan.get("r/b"), { ...newer.index.files[0], layer: exampleLayerName("1") });
  assert.equal(planLayers([newer, older]).get("r/b")?.layer, exampleLayerName("a"));
});

test("planLayers() plans nothing for an evicted cache, and takes a layer without files", () => {
  assert.equal(planLayers([]).size, 0);
  assert.equal(planLayers([contents([])]).size, 0);
  assert.equal(planLayers([contents([], { frames: [] })]).size, 0);
});

test("planLayers() takes frames that follow one another, and files that span them", () => {
  const frames = [
    frame({ raw_bytes: 512 }),
    frame({ offset: 1000, bytes: 7, raw_bytes: 1024 }),
    frame({ offset: 1007, raw_bytes: 512 }),
  ];
  const files = [
    file("r/first", { size: 512, offset: 0 }),
    file("r/spans", { size: 1025, frame: 1, offset: 0 }),
  ];
  assert.equal(planLayers([contents(files, { frames })]).size, 2);
});

test("planLayers() takes files that share all their bytes, and empty ones anywhere", () => {
  const shared = [file("r/a"), file("r/b"), file("r/c", { mode: 0o755 })];
  const empty = { size: 0, sha256: "e".repeat(64) };
  const nowhere = [
    file("r/e1", { ...empty, frame: 0, offset: 512 }),
    file("r/e2", { ...empty, frame: 99, offset: 3 }),
  ];
  assert.equal(planLayers([contents([...shared, ...nowhere])]).size, 5);
});

test("planLayers() refuses frames that do not follow one another from the first byte to the index", () => {
  refusesLayer(contents([], { frames: [frame({ offset: 1 })] }), "frame 0 must begin at 0, not at 1");
  const gap = [frame(), frame({ offset: 1001 })];
  refusesLayer(contents([], { frames: gap }), "frame 1 must begin at 1000, not at 1001");
  const overlap = [frame(), frame({ offset: 999 })];
  refusesLayer(contents([], { frames: overlap }), "frame 1 must begin at 1000, not at 999");
  refusesLayer(contents([], { frames: [frame({ bytes: 0 })] }), "frame 0 must not be empty");
  refusesLayer(
    contents([], { frames: [frame({ raw_bytes: 513 })] }),
    "frame 0 must decode to whole blocks of 512 bytes",
  );
  for (const offset of [999, 1001, 0]) {
    const claims = { index: { offset, bytes: 300, sha256: "c".repeat(64) } };
    refusesLayer(contents([], { claims }), `its frames must end at ${offset}, not at 1000`);
  }
});

test("planLayers() refuses counts and sums that differ from the generation's", () => {
  const one = [file("r/a")];
  refusesLayer(contents(one, { claims: { files: 2 } }), "it must hold 2 files, not 1");
  refusesLayer(contents(one, { claims: { files: 0 } }), "it must hold 0 files, not 1");
  refusesLayer(contents(one, { claims: { raw_bytes: 4 } }), "its files must have 4 bytes together, not 5");
  refusesLayer(contents(one, { claims: { raw_bytes: 6 } }), "its files must have 6 bytes together, not 5");
});

const badPaths: readonly (readonly [path: string, shown: string, problem: string])[] = [
  ["", '""', "begin with a root's name"],
  ["inductor", '"inductor"', "begin with a root's name"],
  ["inductor/", '"inductor/"', "begin with a root's name"],
  ["/etc/passwd", '"/etc/passwd"', "begin with a root's name"],
  ["../r/a", '"../r/a"', "begin with a root's name"],
  ["./r/a", '"./r/a"', "begin with a root's name"],
  ["Root/a", '"Root/a"', "begin with a root's name"],
  ["C:/a", '"C:/a"', "begin with a root's name"],
  [`${"r".repeat(33)}/a`, `"${"r".repeat(33)}/a"`, "begin with a root's name"],
  ["r/../a", '"r/../a"', 'not contain an empty, "." or ".." component'],
  ["r/a/..", '"r/a/.."', 'not contain an empty, "." or ".." component'],
  ["r/./a", '"r/./a"', 'not contain an empty, "." or ".." component'],
  ["r//a", '"r//a"', 'not contain an empty, "." or ".." component'],
  ["r/a/", '"r/a/"', 'not contain an empty, "." or ".." component'],
  ["r/a\0b", '"r/a\\u0000b"', "not contain a NUL byte"],
  ["r/..\\a", '"r/..\\\\a"', "not contain a backslash"],
  ["r/\ud800", '"r/\\ud800"', "be valid UTF-8"],
  ["r/\ufffd", '"r/\ufffd"', "be valid UTF-8"],
  [`r/${"n".repeat(256)}`, `"r/${"n".repeat(256)}"`, "have names of at most 255 bytes"],
  [`r${"/d".repeat(128)}`, `"r${"/d".repeat(128)}"`, "be at most 128 levels deep"],
];

test("planLayers() refuses every path that could not be a file's below a root, and shows it", () => {
  for (const [path, shown, problem] of badPaths) {
    refusesLayer(contents([file(path)]), `the path ${shown} must ${problem}`);
  }
  assert.throws(() => planLayers([contents([file(`r${`/${"n".repeat(255)}`.repeat(13)}`)])]), {
    message: /must be at most 3072 bytes long$/,
  });
});

test("planLayers() refuses a path twice in one layer", () => {
  const files = [file("r/a"), file("r/b", { offset: 1024 }), file("r/a", { offset: 1536 })];
  refusesLayer(contents(files), 'the path "r/a" must occur once');
});

test("planLayers() refuses bytes that do not lie within the frames, or not at a block", () => {
  const at = (place: Partial<IndexedFile>) => contents([file("r/a", place)]);
  refusesLayer(at({ frame: 1 }), 'the bytes of "r/a" must lie in a frame that exists, not in 1');
  refusesLayer(
    at({ offset: 513 }),
    'the bytes of "r/a" must begin at a block within frame 0, not at 513',
  );
  refusesLayer(
    at({ offset: 4096 }),
    'the bytes of "r/a" must begin at a block within frame 0, not at 4096',
  );
  refusesLayer(at({ size: 3585 }), 'the bytes of "r/a" must end within the frames');
  refusesLayer(
    contents([file("r/a", { size: 513 })], { frames: [frame({ raw_bytes: 1024 })] }),
    'the bytes of "r/a" must end within the frames',
  );
  refusesLayer(
    contents([file("r/a")], { frames: [] }),
    'the bytes of "r/a" must lie in a frame that exists, not in 0',
  );
  assert.equal(planLayers([at({ size: 3584 })]).size, 1);
});

test("planLayers() refuses files that share some of their bytes and not all", () => {
  const overlaps = (a: Partial<IndexedFile>, b: Partial<IndexedFile>, first = "r/b", second = "r/a") =>
    refusesLayer(
      contents([file("r/a", a), file("r/b", b)]),
      `the bytes of "${first}" and "${second}" overlap`,
    );
  overlaps({ size: 513 }, { offset: 1024 });
  overlaps({ size: 600 }, { size: 601 });
  overlaps({}, { sha256: "e".repeat(64) });
  overlaps({ offset: 1024 }, { size: 1000 }, "r/a", "r/b");
});

test("planLayers() refuses an overlap across frames", () => {
  const frames = [frame({ raw_bytes: 1024 }), frame({ offset: 1000 })];
  const files = [file("r/a", { size: 513 }), file("r/b", { frame: 1, offset: 0 })];
  refusesLayer(contents(files, { frames }), 'the bytes of "r/b" and "r/a" overlap');
});

test("planLayers() refuses a file that is another one's directory, in all layers together", () => {
  const problem = 'Cannot use this cache as "r/a" is a file in it, and "r/a/b/c" lies below that';
  const parent = contents([file("r/a")]);
  const below = contents([file("r/a/b/c")], { claims: { name: exampleLayerName("1") } });
  refuses([parent, below], problem);
  refuses([below, parent], problem);
  refuses([contents([file("r/a"), file("r/a/b/c", { offset: 1024 })])], problem);
  assert.equal(planLayers([contents([file("r/a"), file("r/ab", { offset: 1024 })])]).size, 2);
});

test("a problem shows no character that could move a terminal's cursor", () => {
  for (const path of ["r/\x1b[2Ja/..", "r/\u202ea/..", "r/a\nb/.."]) {
    assert.throws(() => planLayers([contents([file(path)])]), (error) => {
      assert.ok(error instanceof CacheError);
      assert.doesNotMatch(error.message, /[\p{Cc}\p{Cf}]/u);
      return true;
    });
  }
});

test("pathConflicts() names every path that lies below another, with the nearest such", () => {
  const examples: readonly (readonly [readonly string[], readonly (readonly [string, string])[]])[] = [
    [[], []],
    [["r/a", "r/b", "r/ab/c"], []],
    [["r/a", "r/a/b"], [["r/a", "r/a/b"]]],
    [["r/a/b", "r/a"], [["r/a", "r/a/b"]]],
    [["r/a", "r/a/b", "r/a/c", "r/a/d/e"], [["r/a", "r/a/b"], ["r/a", "r/a/c"], ["r/a", "r/a/d/e"]]],
    [["r/a/d/f", "r/a/d/e", "r/a"], [["r/a", "r/a/d/f"], ["r/a", "r/a/d/e"]]],
    [["r/a", "r/a/b", "r/a/b/c"], [["r/a", "r/a/b"], ["r/a/b", "r/a/b/c"]]],
  ];
  for (const [paths, conflicts] of examples) {
    assert.deepEqual(
      pathConflicts(new Set(paths)),
      conflicts.map(([file, below]) => ({ file, below })),
      paths.join(),
    );
  }
});

test("without what pathConflicts() names, a set of paths is a tree", () => {
  const path = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }).map((parts) =>
    parts.join("/")
  );
  fc.assert(fc.property(fc.uniqueArray(path, { maxLength: 12 }), (paths) => {
    const conflicts = pathConflicts(new Set(paths));
    const below = new Set(conflicts.map((conflict) => conflict.below));
    for (const a of paths) {
      const parents = paths.filter((b) => a.startsWith(`${b}/`)).sort((x, y) => y.length - x.length);
      assert.equal(below.has(a), parents.length > 0, a);
      assert.deepEqual(
        conflicts.filter((conflict) => conflict.below === a).map(({ file }) => file),
        parents.slice(0, 1),
      );
    }
  }));
});

test("splitRoot() cuts at the first slash", () => {
  assert.deepEqual(splitRoot("inductor/a/b"), ["inductor", "a/b"]);
  assert.deepEqual(splitRoot("inductor"), ["inductor", ""]);
  assert.deepEqual(splitRoot("/a"), ["", "a"]);
  assert.deepEqual(splitRoot(""), ["", ""]);
});

/** Numbers that a hostile index would try. */
const number = fc.oneof(
  fc.constantFrom(0, 1, 5, 511, 512, 513, 1024, 4096, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.nat({ max: 8 }).map((blocks) => blocks * 512),
);
const hostilePath = fc.oneof(
  fc.constantFrom(
    "r/a",
    "r/a/b",
    "r/b",
    "r/../a",
    "__proto__/a",
    "r/__proto__",
    "constructor/a",
    "",
    "/",
    "r/\0",
  ),
  fc.string({ unit: "binary", maxLength: 6 }),
);
const hostileFile = fc.record({
  path: hostilePath,
  size: number,
  mode: fc.constant(0o644),
  mtime: fc.constant("0"),
  sha256: fc.constantFrom("b".repeat(64), "c".repeat(64)),
  frame: fc.oneof(fc.nat({ max: 3 }), number),
  offset: number,
});
const hostileFrame = fc.record({
  offset: number,
  bytes: number,
  raw_bytes: number,
  sha256: fc.constant("a".repeat(64)),
});
const hostileLayer = fc.record({
  files: fc.array(hostileFile, { maxLength: 5 }),
  frames: fc.oneof(
    fc.array(hostileFrame, { maxLength: 3 }),
    // Frames that do follow one another, so that the files get a chance.
    fc.array(fc.nat({ max: 4 }), { maxLength: 3 }).map((blocks) =>
      blocks.map((count, at) => frame({ offset: at * 1000, raw_bytes: 512 * (count + 1) }))
    ),
  ),
  claims: fc.oneof(fc.constant({}), fc.record({ files: number, raw_bytes: number })),
}).map(({ files, frames, claims }) => contents(files, { frames, claims }));

test("planLayers() refuses a hostile index as bad_index, or plans files that lie where they should", () => {
  fc.assert(
    fc.property(fc.array(hostileLayer, { maxLength: 3 }), (layers) => {
      let plan;
      try {
        plan = planLayers(layers);
      } catch (error) {
        assert.ok(cacheError("bad_index")(error), String(error));
        return;
      }
      for (const planned of plan.values()) {
        assert.match(planned.path, /^[a-z0-9][a-z0-9_-]*\/[^\0\\]+$/);
        assert.ok(!planned.path.split("/").includes(".."));
      }
      for (const { index } of layers) {
        const raw = index.frames.map(({ raw_bytes }) => raw_bytes);
        for (const { size, frame, offset } of index.files) {
          if (size === 0) continue;
          const start = raw.slice(0, frame).reduce((sum, bytes) => sum + bytes, offset);
          assert.ok(frame < raw.length && start + size <= raw.reduce((sum, bytes) => sum + bytes, 0));
        }
      }
    }),
    { numRuns: 2000 },
  );
});
