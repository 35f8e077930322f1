import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { canBeRewritten, isRelocatable, movesBetween, relocate } from "../lib/relocation.ts";
import { unpackFixture } from "./fixture.ts";
import { withDirectory } from "./pods.ts";

function relocated(text: string, ...moves: readonly { from: string; to: string }[]): string {
  return Buffer.from(relocate(Buffer.from(text), moves)).toString();
}

test("exactly Triton's group files and vLLM's index are relocatable", () => {
  for (const path of ["inductor/triton/0/K/__grp__x.json", "__grp__x.json", "vllm/a/vllm_compile_cache.py"]) {
    assert.ok(isRelocatable(path), path);
  }
  for (const path of ["inductor/__grp__x.json/y", "a/x__grp__.json", "a/vllm_compile_cache.pyc", "a/model"]) {
    assert.ok(!isRelocatable(path), path);
  }
});

test("only roots that lie elsewhere move, the longest first", () => {
  const from = { vllm: "/a", inductor: "/a/deep/er", triton: "/same", gone: "/x", odd: "/", relative: "r" };
  const to = { vllm: "/b", inductor: "/c", triton: "/same", odd: "/y", relative: "/z", fresh: "/f" };
  assert.deepEqual(movesBetween(from, to), [{ from: "/a/deep/er", to: "/c" }, { from: "/a", to: "/b" }]);
});

test("a path that JSON or Python would write otherwise cannot be rewritten", () => {
  assert.ok(canBeRewritten({ from: "/tmp/a b", to: "/root/.cache/vllm" }));
  for (const odd of ['/tmp/"', "/tmp/'", "/tmp/\\", "/tmp/ü", "/tmp/\n", "/tmp/\t"]) {
    assert.ok(!canBeRewritten({ from: odd, to: "/x" }), odd);
    assert.ok(!canBeRewritten({ from: "/x", to: odd }), odd);
  }
});

test("paths below a root that moved are rewritten, by whole components, and nothing else", () => {
  const move = { from: "/tmp/pod1", to: "/var/elsewhere" };
  assert.equal(
    relocated('{"child_paths": {"k.ttir": "/tmp/pod1/triton/0/K/k.ttir", "o": "/tmp/pod12/x"}}', move),
    '{"child_paths": {"k.ttir": "/var/elsewhere/triton/0/K/k.ttir", "o": "/tmp/pod12/x"}}',
  );
  assert.equal(
    relocated("{(1, 0, 'inductor'): ('k', '/tmp/pod1/a'), 'root': '/tmp/pod1'}", move),
    "{(1, 0, 'inductor'): ('k', '/var/elsewhere/a'), 'root': '/var/elsewhere'}",
  );
  assert.equal(relocated("\"see /tmp/pod1/x\" 'a/tmp/pod1'", move), "\"see /tmp/pod1/x\" 'a/tmp/pod1'");
});

test("of roots in one another the nearest counts, and what was rewritten is not rewritten again", () => {
  const moves = movesBetween({ outer: "/a", inner: "/a/in", back: "/b" }, {
    outer: "/b",
    inner: "/c",
    back: "/a",
  });
  assert.equal(relocated('["/a/x", "/a/in/x", "/b/x"]', ...moves), '["/b/x", "/c/x", "/a/x"]');
});

test("there and back is where it was, whatever else a file holds", () =>
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.constantFrom("a", "b/c", "")),
      (noise, tails) => {
        const paths = tails.map((tail) => `"/tmp/pod1${tail === "" ? "" : `/${tail}`}"`).join(", ");
        const content = Buffer.concat([Buffer.from(paths), noise]);
        fc.pre(!content.includes("/new/place"));
        const there = relocate(content, [{ from: "/tmp/pod1", to: "/new/place" }]);
        const back = relocate(there, [{ from: "/new/place", to: "/tmp/pod1" }]);
        assert.deepEqual(Buffer.from(back), content);
      },
    ),
  ));

test("every group file of the real H100 cache lists files that are there once it has moved", () =>
  withDirectory(async (dir) => {
    await unpackFixture(dir);
    const move = { from: "/tmp/pod1", to: "/var/cache/of another/pod" };
    const groups = fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).filter(isRelocatable);
    assert.equal(groups.length, 79);
    for (const group of groups) {
      const content = relocate(fs.readFileSync(path.join(dir, group)), [move]);
      const { child_paths: paths } = JSON.parse(Buffer.from(content).toString());
      for (const child of Object.values<string>(paths)) {
        assert.ok(child.startsWith(`${move.to}/`), child);
        assert.ok(fs.existsSync(path.join(dir, child.slice(move.to.length))), `${child} of ${group}`);
      }
    }
  }));

test("relocate() refuses a file that is, or would become, larger than any real one", () => {
  const moves = [{ from: "/f", to: `/${"t".repeat(4000)}` }];
  const grows = Buffer.from('"/f"'.repeat(20_000));
  for (const content of [grows, Buffer.alloc(33 * 1024 * 1024, 0x20)]) {
    assert.throws(() => relocate(content, moves), { code: "bad_layer" });
  }
  assert.ok(relocate(grows.subarray(0, 4000), moves).length > 4_000_000);
});
