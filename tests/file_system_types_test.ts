import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fileSystemTypeOf, isUnknownFuse, knownFuseTypes } from "../lib/file_system_types.ts";

/** A pod's, with all that proc(5) allows: no optional field, one, several; an empty source; escapes. */
const podMounts = String.raw`
523 411 0:81 / / rw,relatime master:130 - overlay overlay rw,lowerdir=/var/lib/a:/var/lib/b,upperdir=/var/lib/c
524 523 0:84 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
525 523 0:85 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
526 525 0:86 / /dev/shm rw,nosuid,nodev,noexec,relatime shared:7 master:2 propagate_from:3 - tmpfs  rw,size=65536k
527 523 0:55 / /cache rw,nosuid,nodev,relatime - fuse.juicefs JuiceFS:b10 rw,user_id=0,group_id=0,allow_other
528 527 259:1 /data /cache/local rw,noatime unbindable - ext4 /dev/nvme0n1p1 rw,errors=continue
529 523 0:57 / /mnt/with\040space rw - nfs4 10.0.0.1:/export rw,vers=4.2
530 523 0:58 / /mnt/tab\011line\012back\134slash rw - fuse.s3fs s3fs rw
531 523 0:59 / /mnt/\134040 rw - xfs /dev/sdb rw
532 523 0:60 / /mnt/dash rw - 9p - rw,trans=virtio
`.trim();

test("fileSystemTypeOf() finds the innermost mount that holds a path", () => {
  const examples = [
    ["/", "overlay"],
    ["/root/.cache/store", "overlay"],
    ["/dev", "tmpfs"],
    ["/dev/null", "tmpfs"],
    ["/dev/shm/x", "tmpfs"],
    ["/cache", "fuse.juicefs"],
    ["/cache/model/compile_cache", "fuse.juicefs"],
    ["/cache/local", "ext4"],
    ["/cache/local/store", "ext4"],
    ["/mnt/dash/a", "9p"],
    ["/mnt", "overlay"],
  ] as const;
  for (const [path, type] of examples) assert.equal(fileSystemTypeOf(podMounts, path), type, path);
});

test("a mount holds what lies below it by whole components", () => {
  assert.equal(fileSystemTypeOf(podMounts, "/cachefoo"), "overlay");
  assert.equal(fileSystemTypeOf(podMounts, "/cache/localfoo/a"), "fuse.juicefs");
  assert.equal(fileSystemTypeOf(podMounts, "/dev/shmx"), "tmpfs");
  assert.equal(fileSystemTypeOf(podMounts, "/a/cache"), "overlay");
});

test("a mount point's escapes are read: space, tab, newline, backslash", () => {
  assert.equal(fileSystemTypeOf(podMounts, "/mnt/with space/store"), "nfs4");
  assert.equal(fileSystemTypeOf(podMounts, "/mnt/with"), "overlay");
  assert.equal(fileSystemTypeOf(podMounts, "/mnt/tab\tline\nback\\slash/store"), "fuse.s3fs");
  // A directory that is really called "\040": each escape is read once.
  assert.equal(fileSystemTypeOf(podMounts, "/mnt/\\040/store"), "xfs");
  assert.equal(fileSystemTypeOf(podMounts, "/mnt/ /store"), "overlay");
});

test("of several mounts on one directory the last one is seen", () => {
  const stacked = [
    "1 0 8:1 / / rw - ext4 /dev/sda rw",
    "2 1 0:5 / /cache rw - nfs4 server:/ rw",
    "3 2 0:6 / /cache rw - fuse.gcsfuse bucket rw",
  ];
  assert.equal(fileSystemTypeOf(stacked.join("\n"), "/cache/store"), "fuse.gcsfuse");
  assert.equal(
    fileSystemTypeOf(stacked.with(1, stacked[2] ?? "").with(2, stacked[1] ?? "").join("\n"), "/cache"),
    "nfs4",
  );
  assert.equal(fileSystemTypeOf(`${stacked[0]}\n9 1 0:9 / / rw - overlay o rw`, "/cache"), "overlay");
});

test("the order of the lines matters for nothing else", () => {
  const lines = podMounts.split("\n");
  fc.assert(
    fc.property(
      fc.shuffledSubarray(lines, { minLength: lines.length }),
      fc.constantFrom("/", "/cache/a", "/cache/local/a", "/dev/shm", "/proc/self", "/mnt/dash"),
      (shuffled, path) => {
        assert.equal(fileSystemTypeOf(shuffled.join("\n"), path), fileSystemTypeOf(podMounts, path));
      },
    ),
  );
});

test("with a root mount alone everything lies on it; without one a path may lie nowhere", () => {
  const root = "22 1 0:20 / / rw,relatime - overlay overlay rw\n";
  for (const path of ["/", "/cache", "/cache/model/compile_cache"]) {
    assert.equal(fileSystemTypeOf(root, path), "overlay");
  }
  const cacheOnly = "22 1 0:20 / /cache rw - fuse.x x rw\n";
  assert.equal(fileSystemTypeOf(cacheOnly, "/cache/a"), "fuse.x");
  for (const path of ["/", "/tmp", "/cach"]) assert.equal(fileSystemTypeOf(cacheOnly, path), undefined);
});

test("a line that is none of mountinfo's says nothing", () => {
  const garbage = [
    "",
    "\n\n",
    "garbage",
    " - ",
    " - ext4 /dev/sda rw",
    "22 1 0:20 / / rw,relatime",
    "22 1 0:20 / / rw,relatime - ",
    "22 1 0:20 - ext4 /dev/sda rw",
    "22 1 0:20 /  rw - ext4 /dev/sda rw",
  ];
  for (const text of garbage) {
    assert.equal(fileSystemTypeOf(text, "/cache"), undefined, JSON.stringify(text));
    assert.equal(fileSystemTypeOf(`${podMounts}\n${text}`, "/cache/a"), "fuse.juicefs");
  }
  const words = fc.constantFrom(
    " ",
    " - ",
    "-",
    "\n",
    "/",
    "/cache",
    "\\040",
    "\\",
    "\0",
    "ä",
    "22",
    "0:20",
    "rw",
    "fuse.x",
  );
  fc.assert(fc.property(fc.array(words, { maxLength: 40 }), (line) => {
    const type = fileSystemTypeOf(line.join(""), "/cache");
    assert.ok(type === undefined || (type !== "" && line.join("").includes(type)));
  }));
});

test("isUnknownFuse() is about FUSE alone, and about the types that nobody knows", () => {
  const known = [
    "ext4",
    "xfs",
    "overlay",
    "tmpfs",
    "nfs",
    "nfs4",
    "ceph",
    "lustre",
    "virtiofs",
    "fusectl",
    "fuse_x",
  ];
  for (const type of [...known, ...knownFuseTypes]) assert.equal(isUnknownFuse(type, []), false, type);
  const unknown = [
    "fuse",
    "fuseblk",
    "fuse.",
    "fuse.gcsfuse",
    "fuse.s3fs",
    "fuse.glusterfs2",
    "fuse.Juicefs",
  ];
  for (const type of unknown) assert.equal(isUnknownFuse(type, []), true, type);
  for (const type of ["fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs"]) {
    assert.ok(knownFuseTypes.includes(type), type);
  }
});

test("isUnknownFuse() believes an operator who vouches for exactly this type", () => {
  for (const type of ["fuse", "fuseblk", "fuse.gcsfuse"]) {
    assert.equal(isUnknownFuse(type, ["fuse.other", type]), false, type);
    assert.equal(isUnknownFuse(type, [`${type}x`, "fuse.", "ext4"]), true, type);
  }
});
