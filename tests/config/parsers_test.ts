import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  absolutePath,
  httpUrl,
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
);

test("every parser answers any text with a value or with the rule that it breaks", () => {
  const parsers = [
    wholeNumber(0),
    positiveNumber,
    yesOrNo,
    absolutePath,
    pathList,
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

test("httpUrl() takes http and https addresses alone", () => {
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
