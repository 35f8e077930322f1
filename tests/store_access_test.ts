import assert from "node:assert/strict";
import { test } from "node:test";
import { accessNotice, writersOf } from "../lib/store_access.ts";

const owner = { uid: 0, gid: 1000 };

test("those who can write, by the mode of the directory", () => {
  assert.equal(writersOf({ ...owner, mode: 0o40755 }), "user 0 (mode 755)");
  assert.equal(writersOf({ ...owner, mode: 0o42775 }), "user 0 and group 1000 (mode 2775)");
  assert.equal(writersOf({ ...owner, mode: 0o41777 }), "everyone (mode 1777)");
});

test("a notice for what everyone can write to and nothing keeps them from replacing", () => {
  assert.match(
    accessNotice("/cache/a b", { ...owner, mode: 0o40777 }) ?? "",
    /everyone can write to the store "\/cache\/a b"/,
  );
  for (const mode of [0o40755, 0o40775, 0o41777, 0o42770]) {
    assert.equal(accessNotice("/cache", { ...owner, mode }), undefined);
  }
});
