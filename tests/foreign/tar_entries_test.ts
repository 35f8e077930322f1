import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteSource } from "../../lib/foreign/byte_source.ts";
import { type ReadEntry, tarEntries, TarRule } from "../../lib/foreign/tar_entries.ts";
import { entry, long, pax, paxRecords, posixMagic, tar } from "./tar_writer.ts";

async function* chunks(bytes: Uint8Array, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function readAll(bytes: Uint8Array, wants = true): Promise<ReadEntry[]> {
  const all: ReadEntry[] = [];
  for await (const read of tarEntries(new ByteSource(chunks(bytes)), () => wants)) all.push(read);
  return all;
}

async function namesOf(bytes: Uint8Array): Promise<string[]> {
  return (await readAll(bytes)).map((read) => read.entry.name);
}

async function refused(bytes: Uint8Array, message: string): Promise<void> {
  await assert.rejects(readAll(bytes), (error) => {
    assert.ok(error instanceof TarRule, String(error));
    assert.equal(error.message, message);
    return true;
  });
}

test("tarEntries() yields files, directories and hard links, with what their headers say", async () => {
  const bytes = tar(
    entry({ name: "./", type: "5", mode: 0o2755 }),
    entry({ name: "./a/x", content: "hello", mode: 0o640, mtimeS: 1_700_000_001 }),
    entry({ name: "./a/empty" }),
    entry({ name: "./a/old", type: "\0", content: "of very old archives" }),
    entry({ name: "./a/link", type: "1", linkName: "./a/x", size: 5 }),
  );
  const read = await readAll(bytes);
  assert.deepEqual(
    read.map(({ entry: { kind, name, linkName, size, mode } }) => ({ kind, name, linkName, size, mode })),
    [
      { kind: "directory", name: "./", linkName: "", size: 0, mode: 0o2755 },
      { kind: "file", name: "./a/x", linkName: "", size: 5, mode: 0o640 },
      { kind: "file", name: "./a/empty", linkName: "", size: 0, mode: 0o644 },
      { kind: "file", name: "./a/old", linkName: "", size: 20, mode: 0o644 },
      { kind: "link", name: "./a/link", linkName: "./a/x", size: 0, mode: 0o644 },
    ],
  );
  assert.equal(read[1]?.entry.mtimeNs, 1_700_000_001_000_000_000n);
  assert.equal(Buffer.from(read[1]?.content ?? []).toString(), "hello");
  assert.equal(read[2]?.content?.length, 0);
  assert.equal(read[4]?.content, undefined);
});

test("tarEntries() passes over what is not wanted", async () => {
  const bytes = tar(entry({ name: "./big", content: "x".repeat(5000) }), entry({ name: "./next" }));
  const read = await readAll(bytes, false);
  assert.deepEqual(read.map(({ entry: { name }, content }) => [name, content]), [
    ["./big", undefined],
    ["./next", undefined],
  ]);
});

test("long names: GNU's own headers, POSIX' prefix, PAX records, each for one entry alone", async () => {
  const name = `./${"d".repeat(120)}/${"f".repeat(120)}`;
  assert.deepEqual(
    await namesOf(tar(
      long("L", name),
      entry({ name: "cut" }),
      entry({ name: "./plain" }),
      pax({ path: name, comment: "passed over", "SCHILY.xattr.user.x": "y" }),
      entry({ name: "cut" }),
      entry({ name: "./plain2" }),
      entry({ magic: posixMagic, prefix: "./prefix", name: "of/posix" }),
    )),
    [name, "./plain", name, "./plain2", "./prefix/of/posix"],
  );
  const [, link] = await readAll(tar(
    entry({ name: "./x" }),
    long("K", name),
    entry({ name: "./link", type: "1", linkName: "cut" }),
  ));
  assert.equal(link?.entry.linkName, name);
  const [, paxLink] = await readAll(tar(
    entry({ name: "./x" }),
    pax({ linkpath: name }),
    entry({ name: "./link", type: "1", linkName: "cut" }),
  ));
  assert.equal(paxLink?.entry.linkName, name);
});

test("times: nanoseconds of PAX, and before 1970 in GNU's base 256", async () => {
  const base256 = (block: Uint8Array) => {
    block.fill(0xff, 136, 148);
    block[147] = 0xfe;
  };
  const read = await readAll(tar(
    pax({ mtime: "1700000000.123456789" }),
    entry({ name: "./a" }),
    pax({ mtime: "-1.5" }),
    entry({ name: "./b" }),
    entry({ name: "./c", patch: base256 }),
    pax({ mtime: "5" }),
    entry({ name: "./d" }),
    entry({
      name: "./e",
      patch: (block) => {
        block.fill(0, 136, 148);
        block[136] = 0x80;
        block[147] = 7;
      },
    }),
  ));
  assert.deepEqual(read.map((each) => each.entry.mtimeNs), [
    1_700_000_000_123_456_789n,
    -1_500_000_000n,
    -2_000_000_000n,
    5_000_000_000n,
    7_000_000_000n,
  ]);
});

const types: readonly (readonly [type: string, what: string])[] = [
  ["2", "a symlink"],
  ["3", "a character device"],
  ["4", "a block device"],
  ["6", "a FIFO"],
  ["7", "a contiguous file"],
  ["D", "a dumped directory"],
  ["M", "a part of a file on several volumes"],
  ["S", "a sparse file"],
  ["V", "a volume's label"],
  ["g", "a global PAX header"],
  ["Z", 'of the unknown type "Z"'],
];

for (const [type, what] of types) {
  test(`tarEntries() refuses ${what}`, () =>
    refused(
      tar(entry({ name: "./first" }), entry({ name: "./bad", type, linkName: "/etc/passwd" })),
      `header 2 must be of a file, a directory or a hard link, and not ${what}`,
    ));
}

const headers: readonly (readonly [what: string, parts: readonly Uint8Array[], problem: string])[] = [
  ["a wrong checksum", [entry({ checksumError: 1 })], "header 1 must have the right checksum"],
  ["no magic", [entry({ magic: "\0".repeat(8) })], "header 1 must be one of POSIX or GNU tar"],
  ["a size in base 256", [
    entry({ patch: (block) => block.set([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], 124) }),
  ], "header 1 must have a size of octal digits"],
  [
    "a negative size",
    [entry({ size: "-0000000001\0" })],
    "header 1 must have a size of octal digits",
  ],
  [
    "a size that is no number",
    [entry({ size: "00000000009\0" })],
    "header 1 must have a size of octal digits",
  ],
  ["an empty size", [entry({ size: "\0".repeat(12) })], "header 1 must have a size of octal digits"],
  ["a size with something after it", [
    entry({ size: "1 2        \0" }),
  ], "header 1 must have a size of octal digits"],
  [
    "a name that is not UTF-8",
    [entry({ name: Buffer.from([0x2e, 0x2f, 0xff, 0xfe]) })],
    "header 1 must be valid UTF-8",
  ],
  ["a PAX size", [pax({ size: "5" }), entry({})], 'header 1 must not have the PAX record "size"'],
  [
    "a PAX sparse map",
    [pax({ "GNU.sparse.major": "1" }), entry({})],
    'header 1 must not have the PAX record "GNU.sparse.major"',
  ],
  [
    "a PAX character set",
    [pax({ hdrcharset: "BINARY" }), entry({})],
    'header 1 must not have the PAX record "hdrcharset"',
  ],
  ["a PAX record that is cut", [
    entry({ type: "x", content: paxRecords({ path: "./a" }).slice(0, -1) }),
    entry({}),
  ], "header 1 must have PAX records that are whole"],
  [
    "a PAX record of length 0",
    [entry({ type: "x", content: "0 path=x\n" }), entry({})],
    "header 1 must have PAX records that are whole",
  ],
  [
    "a PAX record longer than its header",
    [entry({ type: "x", content: "99 path=x\n" }), entry({})],
    "header 1 must have PAX records that are whole",
  ],
  [
    "a PAX record without a length",
    [entry({ type: "x", content: "path=x\n" }), entry({})],
    "header 1 must have PAX records that are whole",
  ],
  [
    "a PAX record without a key",
    [entry({ type: "x", content: "5 =x\n" }), entry({})],
    "header 1 must have PAX records with a key",
  ],
  [
    "a PAX time that is none",
    [pax({ mtime: "1e9" }), entry({})],
    "header 1 must have a time that is a decimal number of seconds",
  ],
  [
    "a time that no file system holds",
    [pax({ mtime: "99999999999" }), entry({})],
    "header 2 must have a time within 292 years of 1970",
  ],
  [
    "two long names for one entry",
    [long("L", "./a"), long("L", "./b"), entry({})],
    'the entry "./a" must not be one of two of its kind for one entry',
  ],
  [
    "two PAX headers for one entry",
    [pax({ path: "./a" }), pax({ path: "./b" }), entry({})],
    'the entry "./a" must not be one of two of its kind for one entry',
  ],
  ["a long name of 64 KiB and more", [
    entry({ type: "L", content: "x".repeat(65537) }),
    entry({}),
  ], "header 1 has 65537 bytes of names, more than 65536"],
];

for (const [what, parts, problem] of headers) {
  test(`tarEntries() refuses ${what}`, () => refused(tar(...parts), problem));
}

test("tarEntries() refuses a huge header before it reads it", () => {
  const huge = entry({ type: "x", size: 10 * 1024 * 1024 });
  return refused(tar(huge), "header 1 has 10485760 bytes of names, more than 65536");
});

test("tarEntries() refuses an archive that is cut short, wherever it is", async () => {
  const whole = tar(entry({ name: "./a", content: "hello" }));
  const cuts: readonly (readonly [length: number, problem: string])[] = [
    [0, "it ends without the mark that ends an archive"],
    [511, "it ends without the mark that ends an archive"],
    [512, "it ends within a content of 5 bytes"],
    [516, "it ends within a content of 5 bytes"],
    [1000, "it ends within a content of 5 bytes"],
    [1024, "it ends without the mark that ends an archive"],
    [1536, "it ends within the mark that ends an archive"],
    [2047, "it ends within the mark that ends an archive"],
  ];
  for (const [length, problem] of cuts) await refused(whole.subarray(0, length), problem);
});

test("after the end only zeros may follow", async () => {
  const whole = tar(entry({ name: "./a" }));
  assert.deepEqual(await namesOf(Buffer.concat([whole, new Uint8Array(10_000)])), ["./a"]);
  await refused(
    Buffer.concat([whole, new Uint8Array(600), Buffer.from("x")]),
    "something follows the mark that ends an archive",
  );
  await refused(
    Buffer.concat([entry({ name: "./a" }), new Uint8Array(512), entry({ name: "./b" })]),
    "something follows the mark that ends an archive",
  );
});

test("a header of a name that no entry follows is refused", () =>
  refused(tar(long("L", "./a")), "its last header belongs to no entry"));
