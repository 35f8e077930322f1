import assert from "node:assert/strict";
import { test } from "node:test";
import { accessNotices, writersOf, writersOfAll } from "../lib/store_access.ts";

const owner = { uid: 0, gid: 1000 };
const at = (dir: string, mode: number) => ({ ...owner, dir, mode });

test("those who can write, by the mode of the directory", () => {
  assert.equal(writersOf({ ...owner, mode: 0o40755 }), "user 0 (mode 755)");
  assert.equal(writersOf({ ...owner, mode: 0o42775 }), "user 0 and group 1000 (mode 2775)");
  assert.equal(writersOf({ ...owner, mode: 0o41777 }), "everyone (mode 1777)");
});

test("a notice for each directory that everyone can write to and nothing keeps them from replacing", () => {
  const store = "/cache/a b";
  assert.match(
    accessNotices(store, [at(store, 0o40777)])[0] ?? "",
    /^everyone can write to "\/cache\/a b", the store, and so make every pod run code: chmod o-w/,
  );
  const notices = accessNotices(store, [
    at("/cache", 0o40777),
    at(`${store}/native`, 0o40757),
    ...[0o40755, 0o40775, 0o41777, 0o42770].map((mode) => at(store, mode)),
  ]);
  assert.deepEqual(notices.map((text) => text.slice(0, text.indexOf(", and"))), [
    `everyone can write to "/cache", in or above the store "/cache/a b"`,
    `everyone can write to "/cache/a b/native", in or above the store "/cache/a b"`,
  ]);
});

test("who can write to what is in the store, where others can, and to what is above it, where everyone can", () => {
  const store = at("/cache/store", 0o40755);
  const others = [
    at("/cache", 0o40775),
    at("/cache/store/native", 0o40755),
    at("/cache/store/native/k", 0o40777),
  ];
  assert.equal(writersOfAll(store, others), "user 0 (mode 755); native/k: everyone (mode 777)");
  assert.equal(writersOfAll(store, [at("/", 0o40777)]), "user 0 (mode 755); /: everyone (mode 777)");
  assert.equal(writersOfAll(store, others.slice(0, 2)), "user 0 (mode 755)");
  // Nobody can write there who cannot write to the store.
  const narrow = at("/cache/store/native", 0o40755);
  assert.equal(writersOfAll(at("/cache/store", 0o40777), [narrow]), "everyone (mode 777)");
  assert.equal(writersOfAll(at("/cache/store", 0o40775), [narrow]), "user 0 and group 1000 (mode 775)");
  assert.equal(writersOfAll(store, [{ ...narrow, uid: 7 }]), "user 0 (mode 755); native: user 7 (mode 755)");
  assert.equal(
    writersOfAll(store, [{ ...narrow, mode: 0o40775 }]),
    "user 0 (mode 755); native: user 0 and group 1000 (mode 775)",
  );
});
