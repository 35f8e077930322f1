import assert from "node:assert/strict";
import { test } from "node:test";
import { readMounts } from "../lib/mounts.ts";

test("mount points and types, whatever optional fields there are; other lines are no mounts", () => {
  const text = [
    "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 shared:2 - fuse.glusterfs host:/vol rw",
    "22 1 0:20 / / rw - ext4 /dev/sda rw",
    "",
    "not a mount",
  ].join("\n");
  assert.deepEqual(readMounts(text), [
    { point: "/mnt/a b", type: "fuse.glusterfs" },
    { point: "/", type: "ext4" },
  ]);
});
