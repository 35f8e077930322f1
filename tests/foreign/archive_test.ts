import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import { readArchive, type Survey, surveyArchive } from "../../lib/foreign/archive.ts";
import { memoryFile } from "./memory_file.ts";
import { blockBytes, endMark, entry, header, long, pax, tar, tarGz } from "./tar_writer.ts";

const signal = new AbortController().signal;
const name = "cache_436c59e667a63097.latest.tar.gz";

function survey(bytes: Uint8Array): Promise<Survey> {
  return surveyArchive({ name, file: memoryFile(bytes) }, { signal });
}

async function refused(bytes: Uint8Array, problem: string | RegExp): Promise<void> {
  await assert.rejects(survey(bytes), (error: Error & { code?: string }) => {
    assert.equal(error.code, "bad_archive", String(error.stack));
    const prefix = `Cannot use the archive "${name}" as `;
    assert.ok(error.message.startsWith(prefix), error.message);
    const said = error.message.slice(prefix.length);
    if (typeof problem === "string") assert.equal(said, problem);
    else assert.match(said, problem);
    return true;
  });
}

async function contents(bytes: Uint8Array, wanted?: readonly string[]): Promise<Record<string, string>> {
  const archive = { name, file: memoryFile(bytes) };
  const found = await surveyArchive(archive, { signal });
  const all: Record<string, string> = {};
  const paths = new Set(wanted ?? found.plan.files.keys());
  await readArchive(archive, { survey: found, wanted: paths, signal }, (file, content) => {
    all[file.path] = Buffer.from(content).toString();
  });
  return all;
}

const good = [
  entry({ name: "./", type: "5", mode: 0o755 }),
  entry({ name: "./aa/", type: "5", mode: 0o2755 }),
  entry({ name: "./aa/x.py", content: "x", mode: 0o666 }),
  entry({ name: "./aa/y.py", content: "yy", mode: 0o600, mtimeS: 5 }),
  entry({ name: "./aa/twin.py", type: "1", linkName: "./aa/x.py" }),
  entry({ name: "plain", content: "without a dot" }),
];

test("a survey lists the files, and none of the directories", async () => {
  const { plan, sha256 } = await survey(tarGz(...good));
  assert.deepEqual([...plan.files.values()], [
    // Nobody may write to a file of a cache but its owner and group.
    { path: "aa/x.py", size: 1, mode: 0o664, mtimeNs: 1_700_000_000_000_000_000n },
    { path: "aa/y.py", size: 2, mode: 0o600, mtimeNs: 5_000_000_000n },
    { path: "aa/twin.py", size: 1, mode: 0o644, mtimeNs: 1_700_000_000_000_000_000n },
    { path: "plain", size: 13, mode: 0o644, mtimeNs: 1_700_000_000_000_000_000n },
  ]);
  assert.match(sha256, /^[0-9a-f]{64}$/);
});

test("reading gives every wanted file its content, hard links theirs", async () => {
  const archive = tarGz(...good);
  assert.deepEqual(await contents(archive), {
    "aa/x.py": "x",
    "aa/y.py": "yy",
    "aa/twin.py": "x",
    plain: "without a dot",
  });
  assert.deepEqual(await contents(archive, ["aa/twin.py"]), { "aa/twin.py": "x" });
  assert.deepEqual(await contents(archive, []), {});
});

test("what is no cache content is left out, and the content of a link to it is there", async () => {
  const archive = tarGz(
    entry({ name: "./locks/a.lock", content: "held" }),
    entry({ name: "./locks/data", content: "kept for a link" }),
    entry({ name: "./link", type: "1", linkName: "./locks/data" }),
    entry({ name: "./linked.lock", type: "1", linkName: "./locks/data" }),
    entry({ name: "./aa/__pycache__/x.pyc", content: "compiled" }),
    entry({ name: "./aa/half.tmp", content: "half" }),
    entry({ name: `./.b10-${"0".repeat(32)}/x`, content: "staged" }),
  );
  assert.deepEqual(await contents(archive), { link: "kept for a link" });
});

const depth = (levels: number) => `./${"d/".repeat(levels - 1)}f`;

const names: readonly (readonly [what: string, name: string, problem: string])[] = [
  ["..", "./../x", 'the name "./../x" must not contain an empty, "." or ".." component'],
  [
    "a way out in the middle",
    "./a/../../x",
    'the name "./a/../../x" must not contain an empty, "." or ".." component',
  ],
  ["an absolute name", "/etc/passwd", 'the name "/etc/passwd" must be relative'],
  ["an absolute name behind a dot", ".//etc/passwd", 'the name ".//etc/passwd" must be relative'],
  ["the root itself", "./", 'the name "./" must not be empty'],
  ["a dot", ".", 'the name "." must not contain an empty, "." or ".." component'],
  ["an empty name", "", 'the name "" must not be empty'],
  ["a double slash", "./a//b", 'the name "./a//b" must not contain an empty, "." or ".." component'],
  [
    "a file that ends like a directory",
    "./a/",
    'the name "./a/" must not contain an empty, "." or ".." component',
  ],
  ["a backslash", "./a\\b", 'the name "./a\\\\b" must not contain a backslash'],
  ["a drive letter", "./C:x", 'the name "./C:x" must not begin with a drive letter'],
  [
    "a name of 256 bytes",
    `./${"n".repeat(256)}`,
    `the name "./${"n".repeat(256)}" must have names of at most 255 bytes`,
  ],
  ["a depth of 129", depth(129), `the name "${depth(129)}" must be at most 128 levels deep`],
  [
    "a depth of 2,000",
    depth(2000),
    `the name "${depth(2000).slice(0, 400)}"… (4001 characters) must be at most 3072 bytes long`,
  ],
];

for (const [what, bad, problem] of names) {
  const parts = Buffer.byteLength(bad) > 100
    ? [long("L", bad), entry({ name: "cut" })]
    : [entry({ name: bad })];
  test(`an archive with ${what} is refused`, () =>
    refused(tarGz(entry({ name: "./ok" }), ...parts), problem));
}

test("a name with escape sequences is refused or not, and never printed raw", () =>
  refused(
    tarGz(entry({ name: "./\u001b[2J\n\\" })),
    'the name "./\\u001b[2J\\n\\\\" must not contain a backslash',
  ));

test("a NUL in a name that PAX gives is refused", () =>
  refused(tarGz(pax({ path: "./a\0b" }), entry({})), 'the name "./a\\u0000b" must not contain a NUL byte'));

const combinations: readonly (readonly [what: string, parts: readonly Uint8Array[], problem: string])[] = [
  [
    "the same path twice",
    [entry({ name: "./a", content: "1" }), entry({ name: "a", content: "2" })],
    'the entry "a" must occur once',
  ],
  [
    "a link where a file is",
    [entry({ name: "./a" }), entry({ name: "./a", type: "1", linkName: "./a" })],
    'the entry "./a" must occur once',
  ],
  ["a file as a parent", [
    entry({ name: "./a" }),
    entry({ name: "./a/b" }),
  ], '"a" is a file in it, and "a/b" lies below that'],
  ["a file that comes later as a parent", [
    entry({ name: "./a/b" }),
    entry({ name: "./a" }),
  ], '"a" is a file in it, and "a/b" lies below that'],
  ["a directory below a file", [
    entry({ name: "./a" }),
    entry({ name: "./a/b/", type: "5" }),
  ], '"a" is a file in it, and "a/b" lies below that'],
  ["a file, then a directory of its name", [
    entry({ name: "./a" }),
    entry({ name: "./a/", type: "5" }),
  ], 'the entry "./a/" must not be a file and a directory'],
  ["a directory, then a file of its name", [
    entry({ name: "./a/", type: "5" }),
    entry({ name: "./a" }),
  ], 'the entry "./a" must not be a file and a directory'],
  ["a directory outside", [
    entry({ name: "../out/", type: "5" }),
  ], 'the name "../out/" must not contain an empty, "." or ".." component'],
  ["a hard link to outside", [
    entry({ name: "./a", type: "1", linkName: "/etc/passwd" }),
  ], 'the name "/etc/passwd" must be relative'],
  ["a hard link to above", [
    entry({ name: "./a", type: "1", linkName: "../x" }),
  ], 'the name "../x" must not contain an empty, "." or ".." component'],
  ["a hard link to what is not there", [
    entry({ name: "./a", type: "1", linkName: "./b" }),
  ], 'the entry "./a" must be a hard link to an earlier file, not to "./b"'],
  ["a hard link to a later entry", [
    entry({ name: "./a", type: "1", linkName: "./b" }),
    entry({ name: "./b" }),
  ], 'the entry "./a" must be a hard link to an earlier file, not to "./b"'],
  ["a hard link to a directory", [
    entry({ name: "./d/", type: "5" }),
    entry({ name: "./a", type: "1", linkName: "./d" }),
  ], 'the entry "./a" must be a hard link to an earlier file, not to "./d"'],
  ["a symlink", [
    entry({ name: "./a", type: "2", linkName: "/etc" }),
  ], "header 1 must be of a file, a directory or a hard link, and not a symlink"],
  ["setuid", [
    entry({ name: "./a", mode: 0o4755 }),
  ], 'the entry "./a" must have no setuid, setgid or sticky bit'],
  ["setgid", [
    entry({ name: "./a", mode: 0o2755 }),
  ], 'the entry "./a" must have no setuid, setgid or sticky bit'],
  ["a sticky bit", [
    entry({ name: "./a", mode: 0o1755 }),
  ], 'the entry "./a" must have no setuid, setgid or sticky bit'],
];

for (const [what, parts, problem] of combinations) {
  test(`an archive with ${what} is refused`, () => refused(tarGz(...parts), problem));
}

/** A gzip of one header, and of so many zeros as its content. */
function bomb(sizes: readonly number[]): Uint8Array {
  return zlib.gzipSync(
    Buffer.concat([
      ...sizes.flatMap((size, at) => [
        header({ name: `./zeros${at}` }, size),
        new Uint8Array(Math.ceil(size / blockBytes) * blockBytes),
      ]),
      endMark,
    ]),
  );
}

const mib = 1024 * 1024;

test("an archive that decodes to a hundred times its size and more is refused; a few megabytes of zeros are not", async () => {
  const { plan } = await survey(bomb([60 * mib]));
  assert.equal(plan.files.get("zeros0")?.size, 60 * mib);
  await refused(bomb([33 * mib, 33 * mib]), `it decodes to more than the ${64 * mib} bytes that it may`);
});

test("a file that would not fit into memory is refused before it is read", () =>
  refused(
    zlib.gzipSync(header({ name: "./huge" }, 256 * mib + 1)),
    `the entry "./huge" must have at most ${256 * mib} bytes`,
  ));

test("an archive that is no gzip, is cut or damaged is refused", async () => {
  await refused(Buffer.from("no gzip at all, but text"), /^it is not a whole gzip file \(.+\)$/);
  await refused(new Uint8Array(0), /^it is not a whole gzip file \(.+\)$/);
  const whole = tarGz(...good);
  for (let length = 1; length < whole.length; length += 13) {
    await refused(whole.subarray(0, length), /^it is not a whole gzip file \(.+\)$/);
  }
  await refused(Buffer.concat([whole, Buffer.from("more")]), /^it is not a whole gzip file \(.+\)$/);
});

test("every flipped bit is refused, or changes nothing of what is restored", async () => {
  const whole = tarGz(...good);
  const expected = await contents(whole);
  let refusals = 0;
  const bits = whole.length * 8;
  for (let at = 0; at < bits; at++) {
    const flipped = Buffer.from(whole);
    flipped[at >> 3] = (flipped[at >> 3] ?? 0) ^ (1 << (at & 7));
    let read: Record<string, string>;
    try {
      read = await contents(flipped);
    } catch (error) {
      assert.equal(Reflect.get(Object(error), "code"), "bad_archive", `bit ${at}: ${error}`);
      refusals++;
      continue;
    }
    assert.deepEqual(read, expected, `bit ${at}`);
  }
  // gzip's header has a time and a system; and the same content can be encoded in several ways.
  assert.ok(refusals > bits * 0.9, `${refusals} of ${bits}`);
});

test("an archive that is another at the second reading is refused, whatever it has become", async () => {
  const whole = tarGz(...good);
  const others = [
    tarGz(...good.slice(1)),
    tarGz(...good, entry({ name: "../out", content: "x" })),
    zlib.gzipSync(tar(...good), { level: 0 }),
    whole.subarray(0, whole.length / 2),
  ];
  for (const other of others) {
    const file = memoryFile(whole);
    const archive = { name, file };
    const found = await surveyArchive(archive, { signal });
    const padded = new Uint8Array(whole.length);
    padded.set(other.subarray(0, whole.length));
    file.become(padded);
    const wanted = new Set(found.plan.files.keys());
    const sunk: string[] = [];
    const read = readArchive(archive, { survey: found, wanted, signal }, (each) => void sunk.push(each.path));
    await assert.rejects(read, { code: "bad_archive" });
    assert.ok(sunk.every((each) => found.plan.files.has(each)));
  }
});

test("an aborted survey ends with the reason", async () => {
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  const archive = { name, file: memoryFile(tarGz(...good)) };
  await assert.rejects(surveyArchive(archive, { signal: controller.signal }), { message: "enough" });
});
