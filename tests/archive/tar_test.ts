import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endOfTar, paddingAfter, type TarFile, tarHardLink, tarHeader } from "../../lib/archive/tar.ts";
import { textBytes } from "./examples.ts";

/** POSIX.1-1988, ustar: where a header's fields lie. */
const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkname: [157, 100],
  magic: [257, 6],
  version: [263, 2],
  uname: [265, 32],
  gname: [297, 32],
  prefix: [345, 155],
} as const;

type Header = { readonly [Field in keyof typeof fields]: string };

/** A header's fields as text, up to the NUL or blank that ends them. */
function readHeader(block: Uint8Array): Header {
  const text = ([start, length]: readonly [number, number]) =>
    new TextDecoder().decode(block.subarray(start, start + length)).replace(/[\0 ].*$/s, "");
  return Object.fromEntries(Object.entries(fields).map(([field, place]) => [field, text(place)])) as Header;
}

function checksumOf(block: Uint8Array): number {
  const blanked = Uint8Array.from(block).fill(0x20, 148, 156);
  return blanked.reduce((sum, byte) => sum + byte, 0);
}

/** As a layer has it. */
async function tarFile(file: TarFile, content: Uint8Array) {
  const header = await tarHeader(file, content.length);
  const bytes = Buffer.concat([header, content, paddingAfter(content.length)]);
  return { bytes, dataOffset: header.length };
}

const about = { path: "inductor/c3/kernel.py", mode: 0o644, mtimeNs: 1_760_000_000_987_654_321n };

test("tarHeader() is a ustar header with nothing of an owner, which content and padding follow", async () => {
  const { bytes, dataOffset } = await tarFile(about, textBytes("hello"));
  assert.equal(bytes.length, 1024);
  assert.equal(dataOffset, 512);
  assert.deepEqual(readHeader(bytes), {
    name: "inductor/c3/kernel.py",
    mode: "0000644",
    uid: "0000000",
    gid: "0000000",
    size: "00000000005",
    mtime: (1_760_000_000).toString(8).padStart(11, "0"),
    checksum: checksumOf(bytes.subarray(0, 512)).toString(8).padStart(6, "0"),
    type: "0",
    linkname: "",
    magic: "ustar",
    version: "00",
    uname: "",
    gname: "",
    prefix: "",
  });
  assert.equal(new TextDecoder().decode(bytes.subarray(512, 517)), "hello");
  assert.ok(bytes.subarray(517).every((byte) => byte === 0));
});

test("tarHardLink() writes a header that names the earlier file, and no content", async () => {
  const bytes = await tarHardLink({ ...about, mode: 0o755 }, "inductor/aa/first.py");
  assert.equal(bytes.length, 512);
  const { name, mode, size, type, linkname } = readHeader(bytes);
  assert.deepEqual({ name, mode, size, type, linkname }, {
    name: "inductor/c3/kernel.py",
    mode: "0000755",
    size: "00000000000",
    type: "1",
    linkname: "inductor/aa/first.py",
  });
});

test("an entry is whole blocks, and its content begins at dataOffset", async () => {
  for (const size of [0, 1, 511, 512, 513, 1024, 100_000]) {
    for (const path of ["r/a", `r/${"long".repeat(40)}/${"n".repeat(200)}`]) {
      const content = Uint8Array.from({ length: size }, (_, at) => 1 + at % 250);
      const { bytes, dataOffset } = await tarFile({ ...about, path }, content);
      assert.equal(bytes.length % 512, 0);
      assert.equal(dataOffset % 512, 0);
      assert.equal(bytes.length - dataOffset, Math.ceil(size / 512) * 512);
      assert.deepEqual(Uint8Array.from(bytes.subarray(dataOffset, dataOffset + size)), content);
      assert.ok(bytes.subarray(dataOffset + size).every((byte) => byte === 0));
    }
  }
});

test("a path that fits into prefix and name needs no PAX record", async () => {
  const directory = `r/${"d".repeat(100)}`;
  const { bytes, dataOffset } = await tarFile(
    { ...about, path: `${directory}/${"n".repeat(90)}` },
    textBytes("x"),
  );
  assert.equal(dataOffset, 512);
  const { prefix, name } = readHeader(bytes);
  assert.deepEqual([prefix, name], [directory, "n".repeat(90)]);
});

/** A PAX extended header's records. */
function paxRecords(block: Uint8Array): Record<string, string> {
  const { type, size } = readHeader(block);
  assert.equal(type, "x");
  const body = block.subarray(512, 512 + Number.parseInt(size, 8));
  const records: Record<string, string> = {};
  for (let at = 0; at < body.length;) {
    const blank = body.indexOf(0x20, at);
    const length = Number(new TextDecoder().decode(body.subarray(at, blank)));
    assert.equal(body[at + length - 1], 0x0a);
    const [name = "", ...value] = new TextDecoder().decode(body.subarray(blank + 1, at + length - 1)).split(
      "=",
    );
    records[name] = value.join("=");
    at += length;
  }
  return records;
}

test("longer paths have a PAX record, in UTF-8", async () => {
  const paths = [
    `r/${"n".repeat(200)}`,
    `r/${"ü".repeat(100)}`,
    `r/a=b ${"x".repeat(100)}\n${"y".repeat(100)}`,
    `r${`/${"d".repeat(255)}`.repeat(11)}/${"n".repeat(250)}`,
  ];
  for (const path of paths) {
    const { bytes, dataOffset } = await tarFile({ ...about, path }, textBytes("x"));
    assert.deepEqual(paxRecords(bytes), { path });
    assert.equal(readHeader(bytes.subarray(dataOffset - 512)).size, "00000000001");
    assert.deepEqual(paxRecords(await tarHardLink({ ...about, path: "r/a" }, path)), { linkpath: path });
    assert.deepEqual(paxRecords(await tarHardLink({ ...about, path }, path)), { path, linkpath: path });
  }
});

test("a short path of other letters needs no PAX record", async () => {
  const path = "r/naïve/文件/😀";
  const { bytes, dataOffset } = await tarFile({ ...about, path }, textBytes("x"));
  assert.equal(dataOffset, 512);
  assert.equal(readHeader(bytes).name, path);
});

test("the header has whole seconds from 1970 to 2242", async () => {
  const times: readonly (readonly [ns: bigint, seconds: number])[] = [
    [0n, 0],
    [999_999_999n, 0],
    [1_000_000_000n, 1],
    [-1n, 0],
    [-5_000_000_000n, 0],
    [8_589_934_591_999_999_999n, 8_589_934_591],
    [8_589_934_592_000_000_000n, 8_589_934_591],
    [9_999_999_999_999_999_999n, 8_589_934_591],
  ];
  for (const [mtimeNs, seconds] of times) {
    const { bytes } = await tarFile({ ...about, mtimeNs }, textBytes("x"));
    assert.equal(Number.parseInt(readHeader(bytes).mtime, 8), seconds, `${mtimeNs} ns`);
  }
});

test("every permission is written as it is", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 0o777 }), async (mode) => {
      const { bytes } = await tarFile({ ...about, mode }, textBytes("x"));
      assert.equal(Number.parseInt(readHeader(bytes).mode, 8), mode);
    }),
    { numRuns: 30 },
  );
});

test("a tar ends with two empty blocks", () => {
  assert.equal(endOfTar.length, 1024);
  assert.ok(endOfTar.every((byte) => byte === 0));
});
