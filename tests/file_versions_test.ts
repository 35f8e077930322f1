import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { numbersOfVersion, packVersions, unpackVersions } from "../lib/file_versions.ts";

test("packVersions() has inode, size, modification and change time of each, in that order", () => {
  const versions = [1n, 5n].map((ino) => ({ ino, size: 2, mtimeNs: 3n, ctimeNs: -4n }));
  assert.deepEqual([...packVersions(versions)], [1n, 2n, 3n, -4n, 5n, 2n, 3n, -4n]);
  assert.equal(packVersions(versions).length, 2 * numbersOfVersion);
});

test("unpackVersions() gives back whatever a file system can hold", () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const version = fc.record({
    ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    size: fc.maxSafeNat(),
    mtimeNs: int64,
    ctimeNs: int64,
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(version), (versions) => {
    assert.deepEqual(unpackVersions(packVersions(versions)), versions);
  }));
});
