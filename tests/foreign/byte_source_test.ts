import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteSource } from "../../lib/foreign/byte_source.ts";

async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    // deno-lint-ignore no-await-in-loop -- one chunk after the other is the point.
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
  yield bytes.subarray(at);
}

test("whatever the chunks, the pieces are those that were asked for, and at the end what is left", () =>
  fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.nat(40), { maxLength: 20 }),
      fc.array(fc.record({ skip: fc.boolean(), length: fc.nat(60) }), { maxLength: 20 }),
      async (bytes, sizes, steps) => {
        const source = new ByteSource(chunked(bytes, sizes));
        let at = 0;
        for (const { skip, length } of steps) {
          const expected = bytes.subarray(at, at + length);
          if (skip) assert.equal(await source.skip(length), expected.length);
          else assert.deepEqual(Buffer.from(await source.take(length)), Buffer.from(expected));
          at += expected.length;
        }
        const rest: Uint8Array[] = [];
        for (let next = await source.next(); next.length > 0; next = await source.next()) rest.push(next);
        assert.deepEqual(Buffer.concat(rest), Buffer.from(bytes.subarray(at)));
        assert.equal((await source.take(1)).length, 0);
        assert.equal(await source.skip(1), 0);
      },
    ),
  ));

test("what the chunks throw reaches whoever asks", async () => {
  // deno-lint-ignore require-yield -- it fails before the first.
  async function* failing(): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    throw new Error("the share is gone");
  }
  await assert.rejects(new ByteSource(failing()).take(1), { message: "the share is gone" });
});
