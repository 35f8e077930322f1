/** The hostile list: what is wrong, as bytes, and the rule that a refusal names. Numbers are those of docs/security.md. */
import * as zlib from "node:zlib";
import { compressFrame } from "../../lib/archive/zstd.ts";
import { sha256Of } from "../archive/examples.ts";
import { type Entry, entry, header, long, pax, posixMagic, tar, tarGz } from "../foreign/tar_writer.ts";
import { firstFile, firstFrame, type HostileCache, hostileLayer, oneLayer, twins } from "./native_writer.ts";

export interface Case {
  readonly point: number;
  readonly what: string;
  /** What the message says, whichever way the bytes come. */
  readonly rule: RegExp;
  readonly native?: () => Promise<HostileCache>;
  readonly foreign?: () => Uint8Array;
  /** Of the archive, where it is another. */
  readonly foreignRule?: RegExp;
}

const mib = 1024 * 1024;
const x = { "inductor/x": "content" };

/** An entry of any name: in a header of its own where it is too long, or PAX where it has a NUL. */
function named(name: string, about: Entry = {}): Uint8Array[] {
  if (name.includes("\0")) return [pax({ path: name }), entry(about)];
  return Buffer.byteLength(name) > 100 ? [long("L", name), entry(about)] : [entry({ ...about, name })];
}

/** A path that neither a layer nor an archive may have. */
function badPath(point: number, what: string, below: string, rule: RegExp, raw = false): Case {
  return {
    point,
    what,
    rule,
    native: () => oneLayer(x, firstFile({ path: raw ? below : `inductor/${below}` })),
    foreign: () => tarGz(entry({ name: "./good" }), ...named(raw ? below : `./${below}`)),
    ...(raw ? { foreignRule: /must (be relative|not be empty|not contain an empty)/ } : {}),
  };
}

const components = /must not contain an empty, "\." or "\.\." component/;

const paths: readonly Case[] = [
  badPath(1, "a name that leads out", "../x", components),
  badPath(1, "a name that leads out in the middle", "a/../../x", components),
  badPath(1, "an absolute name", "/abs", /must begin with a root's name/, true),
  badPath(1, "an empty name", "", /must begin with a root's name/, true),
  badPath(1, "a name that is a dot", ".", components),
  badPath(1, "a name with a NUL", "a\0b", /must not contain a NUL byte/),
  badPath(1, "a backslash", "..\\x", /must not contain a backslash/),
  {
    point: 1,
    what: "a drive letter",
    rule: /must (not begin with a drive letter|begin with a root's name)/,
    native: () => oneLayer(x, firstFile({ path: "C:/x" })),
    foreign: () => tarGz(entry({ name: "./C:x" })),
  },
  {
    point: 1,
    what: "a name that is no UTF-8",
    rule: /must be valid UTF-8/,
    native: () => oneLayer(x, firstFile({ path: "inductor/\ud800" })),
    foreign: () => tarGz(entry({ name: Buffer.from([0x2e, 0x2f, 0xff]) })),
  },
  badPath(9, "a depth of 2,000", `${"d/".repeat(1500)}x`, /must be at most 128 levels deep/),
  badPath(
    9,
    "a path longer than PATH_MAX",
    `${"d".repeat(200)}/`.repeat(25) + "x",
    /must be at most 3072 bytes long/,
  ),
  badPath(9, "a name of 300 bytes", "n".repeat(300), /must have names of at most 255 bytes/),
  badPath(
    14,
    "a name of newlines and escape sequences",
    '\u001b[2J\n"\u202e\u009b31m\\',
    /must not contain a backslash/,
  ),
  {
    point: 4,
    what: "a place in a staging directory",
    rule: /must not lie below a directory of this program's own/,
    native: () => oneLayer(x, firstFile({ path: `inductor/.b10-${"0".repeat(32)}/x` })),
  },
];

function ofType(point: number, what: string, type: string, about: Entry, rule: RegExp, row: object): Case {
  return {
    point,
    what,
    rule: /is not of the right shape: files\.0\.\w+ /,
    native: () => oneLayer(x, firstFile({ ...row })),
    foreign: () => tarGz(entry({ name: "./good" }), entry({ name: "./x", type, ...about })),
    foreignRule: rule,
  };
}

const kinds: readonly Case[] = [
  ofType(2, "a symlink", "2", { linkName: "../target" }, /and not a symlink/, { type: "symlink" }),
  ofType(2, "a symlink to an absolute place", "2", { linkName: "/etc" }, /and not a symlink/, {
    linkname: "/etc",
  }),
  {
    point: 2,
    what: "a symlink, then a file through it",
    rule: /and not a symlink/,
    foreign: () => tarGz(entry({ name: "./d", type: "2", linkName: ".." }), entry({ name: "./d/canary" })),
  },
  {
    point: 2,
    what: "a chain of two symlinks, then a file through it",
    rule: /and not a symlink/,
    foreign: () =>
      tarGz(
        entry({ name: "./a", type: "2", linkName: "." }),
        entry({ name: "./a/b", type: "2", linkName: ".." }),
        entry({ name: "./a/b/canary" }),
      ),
  },
  {
    point: 3,
    what: "a hard link to outside",
    rule: /the name "\.\.\/canary" must not contain/,
    foreign: () => tarGz(entry({ name: "./x", type: "1", linkName: "../canary" })),
  },
  {
    point: 3,
    what: "a hard link to an absolute place",
    rule: /the name "\/etc\/passwd" must be relative/,
    foreign: () => tarGz(entry({ name: "./x", type: "1", linkName: "/etc/passwd" })),
  },
  {
    point: 3,
    what: "a hard link to a symlink",
    rule: /and not a symlink/,
    foreign: () =>
      tarGz(
        entry({ name: "./s", type: "2", linkName: ".." }),
        entry({ name: "./x", type: "1", linkName: "./s" }),
      ),
  },
  {
    point: 3,
    what: "a hard link to a later entry",
    rule: /the entry "\.\/x" must be a hard link to an earlier file, not to "\.\/y"/,
    foreign: () => tarGz(entry({ name: "./x", type: "1", linkName: "./y" }), entry({ name: "./y" })),
  },
  {
    point: 3,
    what: "a hard link to nothing",
    rule: /must be a hard link to an earlier file/,
    foreign: () => tarGz(entry({ name: "./x", type: "1", linkName: "./y" })),
  },
  ofType(7, "a character device", "3", {}, /and not a character device/, { type: "3" }),
  ofType(7, "a block device", "4", {}, /and not a block device/, { type: "4" }),
  ofType(7, "a FIFO", "6", {}, /and not a FIFO/, { type: "6" }),
  ofType(7, "an entry of an unknown type", "s", {}, /of the unknown type "s"/, { type: "socket" }),
  ofType(7, "a sparse file of GNU tar", "S", {}, /and not a sparse file/, { sparse: [] }),
  {
    point: 7,
    what: "a sparse file by PAX",
    rule: /not have the PAX record "GNU\.sparse\.realsize"/,
    foreign: () => tarGz(pax({ "GNU.sparse.realsize": "99" }), entry({ name: "./x" })),
  },
  ...[["setuid", 0o4755], ["setgid", 0o2755], ["the sticky bit", 0o1755]].map(([what, mode]) =>
    ofType(7, String(what), "0", { mode: Number(mode) }, /must have no setuid, setgid or sticky bit/, {
      mode,
    })
  ),
];

const trees: readonly Case[] = [
  {
    point: 4,
    what: "a file as a parent",
    rule: /"(inductor\/)?x" is a file in it, and "(inductor\/)?x\/y" lies below that/,
    native: () => oneLayer({ "inductor/x": "1", "inductor/x/y": "2" }),
    foreign: () => tarGz(entry({ name: "./x" }), entry({ name: "./x/y" })),
  },
  {
    point: 4,
    what: "a file as a parent in two layers",
    rule: /"inductor\/x" is a file in it, and "inductor\/x\/y" lies below that/,
    native: async () => ({
      layers: [await hostileLayer({ "inductor/x": "1" }), await hostileLayer({ "inductor/x/y": "2" })],
    }),
  },
  {
    point: 4,
    what: "a directory and a file of one name",
    rule: /must not be a file and a directory/,
    foreign: () => tarGz(entry({ name: "./x/", type: "5" }), entry({ name: "./x" })),
  },
  {
    point: 4,
    what: "the same path twice",
    rule: /"(inductor|\.)\/x" must occur once/,
    native: () =>
      oneLayer({ "inductor/x": "1", "inductor/y": "2" }, {
        index: (index) => ({ ...index, files: index.files.map((file) => ({ ...file, path: "inductor/x" })) }),
      }),
    foreign: () => tarGz(entry({ name: "./x", content: "1" }), entry({ name: "./x", content: "2" })),
  },
  {
    point: 9,
    what: "1,000,000 entries",
    rule:
      /(is no list of frames and files|is not one zstd frame of at most|has more than 200000|decodes to more than)/,
    native: () => oneLayer(x, { index: twins(1_000_000) }),
    foreign: () => manyEntries(1_000_000),
  },
  {
    point: 9,
    what: "more directories than may be",
    rule: /it has more than 200000 files and directories|decodes to more than/,
    native: () => oneLayer(x, { index: (index) => ({ ...index, files: deepFiles(index.files[0], 4000) }) }),
  },
];

function manyEntries(count: number): Uint8Array {
  const blocks = Buffer.alloc(count * 512);
  const width = 7;
  const block = Buffer.from(header({ name: `./f${"0".repeat(width)}` }, 0));
  const zeros = Number.parseInt(block.toString("latin1", 148, 154), 8);
  for (let at = 0; at < count; at++) {
    const digits = String(at).padStart(width, "0");
    block.write(digits, 3, "latin1");
    const sum = zeros + [...digits].reduce((total, digit) => total + Number(digit), 0);
    block.write(sum.toString(8).padStart(6, "0"), 148, "latin1");
    block.copy(blocks, at * 512);
  }
  return zlib.gzipSync(tar(blocks), { level: 1 });
}

/** Each below 120 directories that no other has. */
function deepFiles(file: unknown, count: number): unknown[] {
  const deep = "/d".repeat(119);
  return Array.from({ length: count }, (_, at) => ({ ...Object(file), path: `inductor/${at}${deep}/x` }));
}

const headers: readonly Case[] = [
  {
    point: 8,
    what: "a PAX size against the header's",
    rule: /must not have the PAX record "size"/,
    foreign: () => tarGz(pax({ size: "100000" }), entry({ name: "./x", content: "small" })),
  },
  {
    point: 8,
    what: "a global PAX header",
    rule: /and not a global PAX header/,
    foreign: () => tarGz(pax({ path: "../x" }, "g"), entry({ name: "./x" })),
  },
  {
    point: 8,
    what: "a PAX header of 10 MB",
    rule: /has 10\d{6} bytes of names, more than 65536/,
    foreign: () => tarGz(pax({ comment: "c".repeat(10_000_000) }), entry({ name: "./x" })),
  },
  {
    point: 8,
    what: "PAX records that are not whole",
    rule: /must have PAX records that are whole/,
    foreign: () => tarGz(entry({ type: "x", content: "99999 path=x\n" }), entry({ name: "./x" })),
  },
  {
    point: 8,
    what: "a size in base 256",
    rule: /must have a size of octal digits/,
    foreign: () =>
      tarGz(
        entry({ name: "./x", patch: (block) => block.set([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], 124) }),
      ),
  },
  {
    point: 8,
    what: "a negative size",
    rule: /must have a size of octal digits|is not of the right shape: files\.0\.size/,
    native: () => oneLayer(x, firstFile({ size: -1 })),
    foreign: () => tarGz(entry({ name: "./x", size: "-0000000007\0" })),
  },
  {
    point: 8,
    what: "a wrong checksum of a header",
    rule: /must have the right checksum/,
    foreign: () => tarGz(entry({ name: "./x", checksumError: 1 })),
  },
  {
    point: 8,
    what: "a prefix that leads out",
    rule: components,
    foreign: () => tarGz(entry({ name: "x", prefix: "a/../..", magic: posixMagic })),
  },
];

/** A frame that does not say what it decodes to, or needs more than may be. */
function withHeader(frame: Uint8Array, descriptor: number, rest: readonly number[]): Uint8Array {
  return Buffer.concat([
    frame.subarray(0, 4),
    Uint8Array.from([descriptor, ...rest]),
    Buffer.from([1, 0, 0]),
  ]);
}

const frames: readonly Case[] = [
  {
    point: 10,
    what: "a frame that decodes to less than promised",
    rule: /it holds \d+ bytes, not \d+/,
    native: () =>
      oneLayer(x, {
        index: (index) => ({
          ...index,
          frames: index.frames.map((each) => ({ ...each, raw_bytes: each.raw_bytes + 512 })),
        }),
      }),
  },
  {
    point: 10,
    what: "a frame that decodes to more than promised",
    rule: /it holds \d+ bytes, not \d+/,
    native: () => oneLayer(x, { frames: () => compressFrame(new Uint8Array(mib)) }),
  },
  {
    point: 10,
    what: "a frame whose header promises less than its blocks hold",
    rule: /its content is damaged|it decodes to/,
    native: () =>
      oneLayer(x, {
        frames: (right) => Buffer.concat([right.subarray(0, 4), Buffer.from([0x20 | 0x40, 0, 7]), rle(4096)]),
        index: (index) => ({ ...index, frames: index.frames.map((each) => ({ ...each, raw_bytes: 2048 })) }),
      }),
  },
  {
    point: 10,
    what: "a bomb: 1 GB of zeros",
    rule: /it decodes to more than the \d+ bytes that it may|must have at most \d+ bytes/,
    native: () => zeros(32),
    foreign: () =>
      zlib.gzipSync(
        tar(
          ...Array.from(
            { length: 8 },
            (_, at) => entry({ name: `./${at}`, content: Buffer.alloc(128 * mib) }),
          ),
        ),
        {
          level: 1,
        },
      ),
  },
  {
    point: 10,
    what: "a bomb of twins: one content, 100,000 paths",
    rule: /it decodes to more than the \d+ bytes that it may/,
    native: () => oneLayer({ "inductor/x": new Uint8Array(mib) }, { index: twins(100_000) }),
    foreign: () =>
      tarGz(
        entry({ name: "./x", content: Buffer.alloc(mib) }),
        ...Array.from({ length: 100 }, (_, at) => entry({ name: `./l${at}`, type: "1", linkName: "./x" })),
      ),
  },
  {
    point: 10,
    what: "a bomb of headers: 120 MB of PAX comments",
    rule: /it decodes to more than the 67108864 bytes that it may/,
    foreign: () => {
      const comment = pax({ comment: "c".repeat(60_000) });
      return tarGz(
        ...Array.from({ length: 2000 }, (_, at) => [comment, entry({ name: `./${at}` })]).flat(),
      );
    },
  },
  {
    point: 10,
    what: "a bomb of an index: 30 MB of empty lists",
    rule: /its index is no list of frames and files/,
    native: () => oneLayer(x, { indexJson: () => Buffer.from(`[${"[],".repeat(10_000_000)}[]]`) }),
  },
  {
    point: 10,
    what: "an index larger than may be",
    rule: /its index is not one zstd frame of at most 33554432 bytes/,
    native: () => oneLayer(x, { indexJson: () => Buffer.alloc(33_554_433, 0x20) }),
  },
  {
    point: 10,
    what: "a window larger than may be",
    rule: /its window is above 134217728 bytes/,
    native: () =>
      oneLayer(x, {
        frames: (right) => withHeader(right, 0xa0 & ~0x20, [0x98, 0, 8, 0, 0]),
        ...rawBytes(2048),
      }),
  },
  {
    point: 10,
    what: "a frame that needs a dictionary",
    rule: /it needs a dictionary/,
    native: () =>
      oneLayer(x, { frames: (right) => withHeader(right, 0xa1, [7, 0, 8, 0, 0]), ...rawBytes(2048) }),
  },
  {
    point: 10,
    what: "a truncated frame",
    rule: /it is not one whole zstd frame that states its size|it is not a whole gzip file/,
    native: () => oneLayer(x, { frames: (right) => right.subarray(0, right.length - 5) }),
    foreign: () => tarGz(entry({ name: "./x" })).subarray(0, -20),
  },
  {
    point: 10,
    what: "something after the frame",
    rule: /it ends after \d+ bytes|it is not a whole gzip file/,
    native: () => oneLayer(x, { frames: (right) => Buffer.concat([right, Buffer.from("more")]) }),
    foreign: () => Buffer.concat([tarGz(entry({ name: "./x" })), Buffer.from("more")]),
  },
  {
    point: 10,
    what: "something after the archive's end mark",
    rule: /something follows the mark that ends an archive/,
    foreign: () => tarGz(entry({ name: "./x" }), new Uint8Array(1024), entry({ name: "../x" })),
  },
  {
    point: 10,
    what: "no end mark",
    rule: /it ends without the mark that ends an archive/,
    foreign: () => zlib.gzipSync(entry({ name: "./x" })),
  },
  {
    point: 10,
    what: "a content that is cut short",
    rule: /it ends within a content of 100000 bytes/,
    foreign: () => zlib.gzipSync(entry({ name: "./x", size: 100_000 })),
  },
];

function rawBytes(raw: number) {
  return firstFrame({ raw_bytes: raw });
}

/** One last block of so many zeros, in four bytes. */
function rle(size: number): Uint8Array {
  const word = (size << 3) | 2 | 1;
  return Uint8Array.from([word & 0xff, (word >> 8) & 0xff, (word >> 16) & 0xff, 0]);
}

/** A layer with one file of so many frames of 32 MiB, without making it first. */
async function zeros(count: number): Promise<HostileCache> {
  const frame = await compressFrame(new Uint8Array(32 * mib));
  const all = Buffer.concat(Array.from({ length: count }, () => frame));
  return await oneLayer(x, {
    frames: () => all,
    index: (index) => ({
      ...index,
      frames: Array.from({ length: count }, (_, at) => ({
        ...Object(sha256Row(frame)),
        offset: at * frame.length,
      })),
      files: index.files.map((file) => ({ ...file, size: count * 32 * mib, frame: 0, offset: 0 })),
    }),
  });
}

function sha256Row(frame: Uint8Array) {
  return { bytes: frame.length, raw_bytes: 32 * mib, sha256: sha256Of(frame) };
}

const places: readonly Case[] = [
  {
    point: 11,
    what: "frames that overlap",
    rule: /frame 0 must begin at 0, not at 7/,
    native: () => oneLayer(x, firstFrame({ offset: 7 })),
  },
  {
    point: 11,
    what: "a frame past the end",
    rule: /its frames must end at \d+, not at \d+/,
    native: () => oneLayer(x, firstFrame({ bytes: 1_000_000 })),
  },
  {
    point: 11,
    what: "a frame of more stored bytes than one can have",
    rule: /frame 0 must have at most 33751040 bytes, not 5000000000/,
    native: () => oneLayer(x, firstFrame({ bytes: 5_000_000_000 })),
  },
  {
    point: 11,
    what: "a file past the frames",
    rule: /the bytes of "inductor\/x" must end within the frames/,
    native: () => oneLayer(x, firstFile({ size: 100_000 })),
  },
  {
    point: 11,
    what: "files that overlap",
    rule: /the bytes of "inductor\/y" and "inductor\/x" overlap/,
    native: () =>
      oneLayer({ "inductor/x": "1".repeat(2000), "inductor/y": "2" }, {
        index: (index) => ({
          ...index,
          files: index.files.map((file) => ({ ...file, frame: 0, offset: 512 })),
        }),
      }),
  },
  ...["size", "offset", "frame"].map((field): Case => ({
    point: 11,
    what: `a ${field} beyond 2^53`,
    rule: new RegExp(`is not of the right shape: files\\.0\\.${field} `),
    native: () => oneLayer(x, firstFile({ [field]: 2 ** 53 })),
  })),
  {
    point: 11,
    what: "counts that differ from the manifest's",
    rule: /it must hold 2 files, not 1/,
    native: () => oneLayer(x, { claims: () => ({ files: 2 }) }),
  },
];

const statements: readonly Case[] = [
  ...([
    ["no JSON", () => "no JSON"],
    ["null", () => null],
    ["a list", () => []],
    ["a number", () => 7],
    ["without layers", ({ layers: _, ...rest }: Record<string, unknown>) => rest],
    ["with a layer that is a path", (right: Record<string, unknown>) => ({ ...right, layers: ["../x"] })],
    ["with a name that leads out", (right: Record<string, unknown>) => ({
      ...right,
      layers: [{ ...Object(Object(right["layers"])[0]), name: "../../x" }],
    })],
    [
      "with a key that would be a prototype",
      (right: Record<string, unknown>) => JSON.parse(`{"__proto__":{},${JSON.stringify(right).slice(1)}`),
    ],
    [
      "with fields that are escape sequences",
      (right: Record<string, unknown>) => ({ ...right, "\u001b[2J\u009b": 1 }),
    ],
    [
      "with a value that is an escape sequence",
      (right: Record<string, unknown>) => ({ ...right, nonce: "\u001b[2J\n" }),
    ],
    [
      "that is a megabyte of one field",
      (right: Record<string, unknown>) => ({ ...right, nonce: "n".repeat(900_000) }),
    ],
  ] as const).map(([what, change]): Case => ({
    point: 12,
    what: `a manifest ${what}`,
    rule: /not valid|no valid generation|none of .* valid|its generation is not valid/,
    native: async () => ({ ...await oneLayer(x), manifest: (right) => change({ ...right }) }),
  })),
];

export const cases: readonly Case[] = [
  ...paths,
  ...kinds,
  ...trees,
  ...headers,
  ...frames,
  ...places,
  ...statements,
];
