import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  absolutePath,
  byteSize,
  duration,
  fileSystemTypes,
  httpUrl,
  notNegative,
  oneOf,
  type Parser,
  pathList,
  pattern,
  positiveNumber,
  RuleBroken,
  wholeNumber,
  yesOrNo,
} from "../../lib/config/parsers.ts";

function refuses(parse: Parser<unknown>, texts: readonly string[]): void {
  for (const text of texts) assert.throws(() => parse(text), RuleBroken, JSON.stringify(text));
}

/** What a parser makes of any text at all: a value, or undefined where it says which rule is broken. */
function parsed<T>(parse: Parser<T>, text: string): T | undefined {
  try {
    return parse(text);
  } catch (error) {
    assert.ok(error instanceof RuleBroken);
    return undefined;
  }
}

const textLikeSettings = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.double().map(String),
  fc.integer().map(String),
  fc.array(fc.constantFrom("/", ".", "..", "a", "\0", ":", "0", "-", "e", " ", "http://")).map((parts) =>
    parts.join("")
  ),
  // Numbers with something like a unit.
  fc.tuple(
    fc.oneof(fc.nat().map(String), fc.double({ min: 0, noNaN: true }).map(String)),
    fc.constantFrom("", " ", "  ", "\t"),
    fc.constantFrom("", "s", "m", "h", "d", "w", "y", "M", "B", "k", "kB", "MB", "gb", "TB", "GiB", "bB"),
  ).map((parts) => parts.join("")),
);

test("every parser answers any text with a value or with the rule that it breaks", () => {
  const parsers = [
    wholeNumber(0),
    notNegative,
    positiveNumber,
    duration,
    byteSize,
    yesOrNo,
    absolutePath,
    pathList,
    fileSystemTypes,
    pattern(/^a$/),
    oneOf(["a"]),
    httpUrl,
  ];
  fc.assert(fc.property(textLikeSettings, (text) => {
    for (const parse of parsers) parsed<unknown>(parse, text);
  }));
});

test("wholeNumber() reads decimal digits, from the least on", () => {
  assert.equal(wholeNumber(0)("0"), 0);
  assert.equal(wholeNumber(1)("007"), 7);
  assert.equal(wholeNumber(1)("999999999999999"), 999_999_999_999_999);
  refuses(wholeNumber(1), [
    "0",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "0x1",
    " 1",
    "1 ",
    "1\n",
    "١",
    "",
    "1000000000000000",
  ]);
});

test("wholeNumber() gives only whole numbers that a double holds exactly", () => {
  fc.assert(fc.property(textLikeSettings, fc.nat(), (text, least) => {
    const value = parsed(wholeNumber(least), text);
    if (value !== undefined) assert.ok(Number.isSafeInteger(value) && value >= least);
  }));
});

test("notNegative() reads a decimal number, zero included", () => {
  assert.equal(notNegative("0"), 0);
  assert.equal(notNegative("2.5"), 2.5);
  refuses(notNegative, ["", "-1", "1e3", ".5", "Infinity", "0x10", " 1"]);
});

test("positiveNumber() reads a decimal number above zero", () => {
  assert.equal(positiveNumber("2"), 2);
  assert.equal(positiveNumber("0.25"), 0.25);
  refuses(positiveNumber, ["0", "0.000", "-1", ".5", "1.", "1e3", "Infinity", "NaN", "1,5", "1s", " 1", ""]);
});

test("positiveNumber() gives only finite numbers above zero", () => {
  fc.assert(fc.property(textLikeSettings, (text) => {
    const value = parsed(positiveNumber, text);
    if (value !== undefined) assert.ok(Number.isFinite(value) && value > 0);
  }));
});

test("duration() reads a number and a unit as milliseconds", () => {
  const examples = [
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["12h", 43_200_000],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["0s", 0],
    ["1.5h", 5_400_000],
    ["0.25s", 250],
    ["007d", 604_800_000],
    ["999999999s", 999_999_999_000],
  ] as const;
  for (const [text, ms] of examples) assert.equal(duration(text), ms, text);
  refuses(duration, [
    "",
    "7",
    "d",
    "7 d",
    " 7d",
    "7d ",
    "7d\n",
    "7D",
    "7days",
    "7dd",
    "-7d",
    "+7d",
    ".5d",
    "1.d",
    "1e3d",
    "1,5h",
    "7y",
    "7ms",
    "1d12h",
    "٧d",
    "Infinityd",
    "1000000000s",
  ]);
  assert.throws(() => duration("x"), {
    name: "RuleBroken",
    message: 'be a number and a unit of s, m, h, d or w, such as "7d"',
  });
});

test("duration() gives only finite times, none of them negative", () => {
  fc.assert(fc.property(textLikeSettings, (text) => {
    const ms = parsed(duration, text);
    if (ms !== undefined) assert.ok(Number.isFinite(ms) && ms >= 0);
  }));
});

test("byteSize() reads a number of bytes in powers of ten, in any case, the B left out or not", () => {
  const examples = [
    ["0", 0],
    ["1024", 1024],
    ["17B", 17],
    ["1kB", 1e3],
    ["1k", 1e3],
    ["500MB", 5e8],
    ["500mb", 5e8],
    ["500M", 5e8],
    ["20GB", 2e10],
    ["20 GB", 2e10],
    ["3TB", 3e12],
    ["1.5GB", 1_500_000_000],
    ["0.0004kB", 0],
    ["0.0006kB", 1],
    ["1.1GB", 1_100_000_000],
    ["999999999999", 999_999_999_999],
  ] as const;
  for (const [text, bytes] of examples) assert.equal(byteSize(text), bytes, text);
  refuses(byteSize, [
    "",
    "GB",
    "B",
    "-1",
    "-1GB",
    "+1",
    ".5GB",
    "1.",
    "1e9",
    "0x10",
    "1GiB",
    "1PB",
    "1BB",
    "1GBs",
    "1  GB",
    " 1GB",
    "1GB ",
    "1GB\n",
    "1G B",
    "1,5GB",
    "١GB",
    "1000000000000",
  ]);
  assert.throws(() => byteSize("x"), {
    name: "RuleBroken",
    message: 'be a number of bytes, with or without kB, MB, GB or TB: "20GB"',
  });
});

test("byteSize() gives only finite, whole numbers, none of them negative", () => {
  fc.assert(fc.property(textLikeSettings, (text) => {
    const bytes = parsed(byteSize, text);
    if (bytes !== undefined) assert.ok(Number.isInteger(bytes) && bytes >= 0);
  }));
});

test("yesOrNo() reads the usual words, in any case", () => {
  for (const text of ["1", "true", "TRUE", "True", "yes", "on", "ON"]) assert.equal(yesOrNo(text), true);
  for (const text of ["0", "false", "False", "no", "off", "Off"]) assert.equal(yesOrNo(text), false);
  refuses(yesOrNo, ["", "2", "y", "enabled", "true ", "-1"]);
});

test("absolutePath() takes away what a path can do without", () => {
  const examples = [
    ["/", "/"],
    ["//", "/"],
    ["/.", "/"],
    ["/tmp/", "/tmp"],
    ["//tmp//./a/.", "/tmp/a"],
    ["/tmp/a..b/...", "/tmp/a..b/..."],
    ["/tmp/a b\n", "/tmp/a b\n"],
  ] as const;
  for (const [text, path] of examples) assert.equal(absolutePath(text), path);
  refuses(absolutePath, ["", ".", "a", "./a", "~", "~/a", "..", "/..", "/a/..", "/a/../b", "/a\0"]);
});

test("absolutePath() gives an absolute path of plain components, and leaves that alone", () => {
  fc.assert(fc.property(textLikeSettings, (text) => {
    const path = parsed(absolutePath, text);
    if (path === undefined || path === "/") return;
    assert.match(path, /^(\/[^/\0]+)+$/);
    for (const component of path.split("/").slice(1)) assert.ok(![".", ".."].includes(component));
    assert.equal(absolutePath(path), path);
  }));
});

test("pathList() is colon-separated, and ignores what is empty", () => {
  assert.deepEqual(pathList("/a:/b/"), ["/a", "/b"]);
  assert.deepEqual(pathList(":/a::"), ["/a"]);
  assert.deepEqual(pathList(":"), []);
  refuses(pathList, ["/a:b", "a", "/a:/b/../c"]);
});

test("fileSystemTypes() is colon-separated, and ignores what is empty", () => {
  assert.deepEqual(fileSystemTypes("fuse.juicefs"), ["fuse.juicefs"]);
  assert.deepEqual(fileSystemTypes(":fuse.ceph-fuse::fuse.B10_fs:9p:"), [
    "fuse.ceph-fuse",
    "fuse.B10_fs",
    "9p",
  ]);
  assert.deepEqual(fileSystemTypes(":"), []);
  assert.deepEqual(fileSystemTypes("x".repeat(100)), ["x".repeat(100)]);
  refuses(fileSystemTypes, [
    " ",
    "fuse.a b",
    "fuse.a,fuse.b",
    "fuse.a: fuse.b",
    "fuse.a:fuse/b",
    "fuse.*",
    "fuse.a\n",
    "fusé",
    "x".repeat(101),
  ]);
  assert.throws(() => fileSystemTypes("*"), {
    name: "RuleBroken",
    message: 'be types of file systems, separated by colons, such as "fuse.juicefs"',
  });
});

test("fileSystemTypes() gives only types that one line of mountinfo could name", () => {
  fc.assert(fc.property(textLikeSettings, (text) => {
    for (const type of parsed(fileSystemTypes, text) ?? []) assert.match(type, /^[\w.-]+$/);
  }));
});

test("pattern() gives the text unchanged, and says which pattern it must match", () => {
  assert.equal(pattern(/^[a-z]+$/)("abc"), "abc");
  assert.throws(() => pattern(/^[a-z]+$/)("A"), { name: "RuleBroken", message: "match ^[a-z]+$" });
});

test("oneOf() reads a choice in any case", () => {
  const parse = oneOf(["info", "debug"]);
  assert.equal(parse("INFO"), "info");
  assert.throws(() => parse("inf"), { name: "RuleBroken", message: "be one of info, debug" });
  refuses(parse, ["", " info", "toString"]);
});

test("httpUrl() takes Unix sockets by absolute paths, and adds what is asked there", () => {
  assert.equal(httpUrl("unix:/run/vllm.sock"), "unix:/run/vllm.sock:/v1/models");
  assert.equal(httpUrl("unix://run/./vllm.sock:/health"), "unix:/run/vllm.sock:/health");
  assert.equal(httpUrl("unix:/run/vllm.sock:/a b?c=d e#f"), "unix:/run/vllm.sock:/a%20b?c=d%20e");
  assert.equal(httpUrl("https+unix:/run/vllm.sock"), "https+unix:/run/vllm.sock:/v1/models");
  refuses(httpUrl, ["unix:", "unix:vllm.sock", "unix:/run/../vllm.sock", "unix:/run/\0", "http+unix:/a"]);
});

test("httpUrl() takes no other addresses but http and https", () => {
  assert.equal(httpUrl("http://127.0.0.1:8000/v1/models"), "http://127.0.0.1:8000/v1/models");
  assert.equal(httpUrl("HTTPS://Pod/"), "https://pod/");
  refuses(httpUrl, [
    "",
    "localhost:8000",
    "http://",
    "http://a:99999/",
    "file:///etc/passwd",
    "javascript:1",
  ]);
});
