/**
 * Both programs on one share, the real b10-transfer 0.4.1 and the built binary: `deno task test:interop`. The name has
 * no "_test", as this needs a torch, which takes a minute to install, and a directory below /cache/model.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { type PeerPython, peerPython } from "../../scripts/peer_python.ts";
import { capture } from "../../scripts/process.ts";
import { type Result, resultOf } from "../../scripts/program.ts";
import { binary } from "../../scripts/project.ts";
import { ownPackage, PackageProcess, peerPackage } from "./contract/packages.ts";
import { makePlace, type Place } from "./peer.ts";
import { namesBelow, writeNumbered, wrongFiles } from "./trees.ts";

const operationTimeoutMs = 60_000;
const stressS = Number(process.env["B10_INTEROP_STRESS_S"] ?? "60");
/** How much longer both go on where something has not happened yet. */
const patienceS = 120;

let python: PeerPython;
let place: Place;
let peer: PackageProcess;

before(async () => {
  python = await peerPython();
  place = makePlace();
  peer = new PackageProcess(peerPackage(python));
});

after(async () => {
  await peer[Symbol.asyncDispose]();
  place[Symbol.dispose]();
});

let shares = 0;

/** A share of its own, and pods on it. */
class Share {
  readonly dir = path.join(place.dir, `share${++shares}`);
  readonly storeDir = path.join(this.dir, "compile_cache");
  #pods = 0;

  constructor() {
    fs.mkdirSync(this.storeDir, { recursive: true });
  }

  /** @param settings win over those that every pod has. */
  pod(settings: Readonly<Record<string, string>> = {}): Pod {
    const dir = path.join(this.dir, `pod${++this.#pods}`);
    for (const name of ["home", "work", "torch"]) fs.mkdirSync(path.join(dir, name), { recursive: true });
    const torchDir = path.join(dir, "torch");
    return {
      torchDir,
      env: {
        PATH: "/usr/bin:/bin",
        HOME: path.join(dir, "home"),
        BASETEN_FS_ENABLED: "1",
        TORCHINDUCTOR_CACHE_DIR: torchDir,
        B10FS_CACHE_DIR: this.storeDir,
        LOCAL_WORK_DIR: path.join(dir, "work"),
        B10_CACHE_PYTHON: python.python,
        B10_CACHE_FOREIGN: "on",
        MAX_CONCURRENT_SAVES: "1",
        MAX_CACHE_SIZE_MB: "100",
        MIN_B10FS_SPACE_MB: "1",
        MIN_LOCAL_SPACE_MB: "1",
        ...settings,
      },
    };
  }

  archives(): string[] {
    return fs.readdirSync(this.storeDir).filter((name) => name.endsWith(".latest.tar.gz"));
  }
}

interface Pod {
  readonly torchDir: string;
  readonly env: Readonly<Record<string, string>>;
}

async function ours({ env }: Pod, ...args: readonly string[]): Promise<Result> {
  const finished = await capture([binary, ...args, "--json", "--quiet"], {
    timeoutMs: operationTimeoutMs,
    env,
  });
  return resultOf(finished) ?? assert.fail(finished.stderr);
}

/** @returns what the function returned: a status's name. */
async function theirs({ env }: Pod, name: string, by: PackageProcess = peer): Promise<unknown> {
  const [answer] = await by.ask({ env, calls: [[name]] });
  return answer?.["returned"] ?? assert.fail(JSON.stringify(answer));
}

const load = "load_compile_cache";
const save = "save_compile_cache";

test("what b10-transfer saved, ours loads, from the command line and from Python", async () => {
  const share = new Share();
  const saver = share.pod();
  writeNumbered(saver.torchDir, { first: 0, count: 50 });
  assert.equal(await theirs(saver, save), "SUCCESS");
  const one = share.pod();
  assert.equal((await ours(one, "load")).status, "SUCCESS");
  assert.deepEqual(namesBelow(one.torchDir), namesBelow(saver.torchDir));
  assert.deepEqual(wrongFiles(one.torchDir), []);
  await using own = new PackageProcess(ownPackage(python));
  const two = share.pod({ PATH: `${path.dirname(binary)}:/usr/bin:/bin` });
  assert.equal(await theirs(two, load, own), "SUCCESS");
  assert.deepEqual(wrongFiles(two.torchDir), []);
  assert.equal(namesBelow(two.torchDir).length, 50);
});

test("what ours exported, b10-transfer loads, and so it moves back", async () => {
  const share = new Share();
  const saver = share.pod();
  writeNumbered(saver.torchDir, { first: 0, count: 50 });
  assert.equal((await ours(saver, "save")).status, "SUCCESS");
  assert.equal(await theirs(share.pod(), load), "DOES_NOT_EXIST");
  assert.equal((await ours(saver, "export", "--format", "b10-transfer", share.storeDir)).status, "SUCCESS");
  const pod = share.pod();
  assert.equal(await theirs(pod, load), "SUCCESS");
  assert.deepEqual(namesBelow(pod.torchDir), namesBelow(saver.torchDir));
  assert.deepEqual(wrongFiles(pod.torchDir), []);
  // Its own cache is there already, as far as it can tell.
  assert.equal(await theirs(pod, save), "SKIPPED");
});

test("b10-transfer's list shows no phantom: nothing of ours but what was exported", async () => {
  const share = new Share();
  const pod = share.pod();
  writeNumbered(pod.torchDir, { first: 0, count: 5 });
  await ours(pod, "save");
  await ours(pod, "save", "--namespace", "other");
  const list = "list_available_caches";
  const empty = await theirs(pod, list);
  assert.deepEqual(Reflect.get(Object(empty), "caches"), []);
  await ours(pod, "export", "--format", "b10-transfer", share.storeDir);
  const listed = await theirs(pod, list);
  assert.equal(Reflect.get(Object(listed), "caches").length, 1);
  assert.equal(Reflect.get(Object(listed), "current_cache_exists"), true);
});

test("ours lists b10-transfer's archive beside its own", async () => {
  const share = new Share();
  const pod = share.pod();
  writeNumbered(pod.torchDir, { first: 0, count: 5 });
  await theirs(pod, save);
  await ours(pod, "save");
  const finished = await capture([binary, "list", "--json"], { timeoutMs: operationTimeoutMs, env: pod.env });
  const { caches } = JSON.parse(finished.stdout);
  assert.deepEqual(caches.map((cache: { kind: string }) => cache.kind), ["native", "b10-transfer"]);
  assert.equal(caches[1].file, share.archives()[0]);
});

test("b10-transfer's cleanup deletes nothing of ours, however old it is", async () => {
  const share = new Share();
  const pod = share.pod({ CLEANUP_LOCK_TIMEOUT_SECONDS: "1", CLEANUP_INCOMPLETE_TIMEOUT_SECONDS: "1" });
  writeNumbered(pod.torchDir, { first: 0, count: 20 });
  await ours(pod, "save");
  await ours(pod, "load");
  const native = path.join(share.storeDir, "native");
  // What a saver has under way as well, and a lease.
  const [key = ""] = fs.readdirSync(native).filter((name) => /^[0-9a-f]{64}$/.test(name));
  fs.writeFileSync(path.join(native, key, "incoming", `${"0".repeat(32)}.tar.zst`), "half");
  fs.writeFileSync(path.join(native, key, "lease.json"), "{}");
  const longAgo = new Date(Date.now() - 100 * 3600 * 1000);
  for (const name of namesBelow(native)) fs.utimesSync(path.join(native, name), longAgo, longAgo);
  const all = namesBelow(native);
  // Its own leftovers do go.
  fs.writeFileSync(path.join(share.storeDir, "copy_in.lock"), "");
  fs.utimesSync(path.join(share.storeDir, "copy_in.lock"), longAgo, longAgo);
  assert.equal(await theirs(pod, load), "DOES_NOT_EXIST");
  assert.equal(await theirs(pod, save), "SUCCESS");
  assert.ok(!fs.existsSync(path.join(share.storeDir, "copy_in.lock")));
  assert.deepEqual(namesBelow(native), all);
  assert.equal((await ours(share.pod(), "load")).status, "SUCCESS");
});

test("each ignores the other's locks", async () => {
  const share = new Share();
  const [one, two] = [share.pod(), share.pod()];
  writeNumbered(one.torchDir, { first: 0, count: 20 });
  writeNumbered(two.torchDir, { first: 0, count: 20 });
  await theirs(one, save);
  for (const lock of ["copy_in.lock", "copy_out.lock"]) fs.writeFileSync(path.join(share.storeDir, lock), "");
  // With these there b10-transfer itself would wait until they are 30 s old.
  assert.equal((await ours(share.pod(), "load")).status, "SUCCESS");
  assert.equal((await ours(two, "save")).status, "SUCCESS");
  assert.ok(fs.existsSync(path.join(share.storeDir, "copy_in.lock")));
  for (const lock of ["copy_in.lock", "copy_out.lock"]) fs.rmSync(path.join(share.storeDir, lock));
  const native = path.join(share.storeDir, "native");
  const [key = ""] = fs.readdirSync(native).filter((name) => /^[0-9a-f]{64}$/.test(name));
  fs.writeFileSync(path.join(native, key, "lease.json"), '{"nonce":"0","holder":"somebody"}\n');
  const three = share.pod();
  assert.equal(await theirs(three, load), "SUCCESS");
  assert.deepEqual(wrongFiles(three.torchDir), []);
});

test(`both on one share for ${stressS} s: every load is whole, nobody disturbs the other`, {
  timeout: (stressS + patienceS + 120) * 1000,
}, async () => {
  const share = new Share();
  const untilMs = performance.now() + stressS * 1000;
  const counts: Record<string, number> = {};
  const note = (who: string, status: string) =>
    counts[`${who} ${status}`] = (counts[`${who} ${status}`] ?? 0) + 1;
  const wrong: string[] = [];
  const check = (who: string, pod: Pod) =>
    wrong.push(...wrongFiles(pod.torchDir).map((name) => `${who}: ${name}`));
  /** What must have happened: a slow machine gets the time for it. */
  const expected = [
    "b10-transfer save SUCCESS",
    "b10-transfer load SUCCESS",
    "our save SUCCESS",
    "our load SUCCESS",
    "our load of an archive SUCCESS",
  ];
  const latestMs = untilMs + patienceS * 1000;
  const isOver = () => {
    const nowMs = performance.now();
    return nowMs > latestMs || (nowMs > untilMs && expected.every((kind) => (counts[kind] ?? 0) > 0));
  };

  /** Saves and loads; now and then its archive goes, so that it saves again. */
  const peerLoop = async (at: number) => {
    await using own = new PackageProcess(peerPackage(python));
    for (let round = 0; !isOver(); round++) {
      const pod = share.pod();
      if ((round + at) % 2 === 0) {
        writeNumbered(pod.torchDir, { first: 0, count: 60 });
        note("b10-transfer save", String(await theirs(pod, save, own)));
      } else {
        note("b10-transfer load", String(await theirs(pod, load, own)));
        check("b10-transfer", pod);
      }
      if (at === 0 && round % 3 === 2) {
        for (const name of share.archives()) fs.rmSync(path.join(share.storeDir, name), { force: true });
      }
    }
  };
  let namespaces = 0;
  /** Grows one cache of ours, and loads it. */
  const ownLoop = async (at: number) => {
    for (let round = 0; !isOver(); round++) {
      const pod = share.pod();
      writeNumbered(pod.torchDir, { first: 100 + 1000 * at + round * 3, count: 3 });
      const saved = await ours(pod, "save");
      note("our save", `${saved.status} ${saved.code}`.trim());
      const loader = share.pod();
      const loaded = await ours(loader, "load");
      note("our load", `${loaded.status} ${loaded.code}`.trim());
      check("ours", loader);
    }
  };
  /** Loads b10-transfer's archive, as in this namespace there is nothing of ours. */
  const foreignLoop = async () => {
    while (!isOver()) {
      const pod = share.pod({ B10_CACHE_NAMESPACE: `n${++namespaces}` });
      const loaded = await ours(pod, "load");
      note("our load of an archive", `${loaded.status} ${loaded.code}`.trim());
      check("ours, of an archive", pod);
      if (loaded.status === "SUCCESS") assert.ok(namesBelow(pod.torchDir).length > 0);
    }
  };
  const exportLoop = async () => {
    while (!isOver()) {
      const exported = await ours(
        share.pod(),
        "export",
        "--format",
        "b10-transfer",
        "--force",
        share.storeDir,
      );
      note("our export", `${exported.status} ${exported.code}`.trim());
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  await Promise.all([
    peerLoop(0),
    peerLoop(1),
    peerLoop(2),
    ownLoop(0),
    ownLoop(1),
    foreignLoop(),
    exportLoop(),
  ]);
  console.log(counts);
  assert.deepEqual(wrong, []);
  for (const kind of expected) {
    assert.ok((counts[kind] ?? 0) > 0, `${kind}: none in ${JSON.stringify(counts)}`);
  }
  // Two savers of b10-transfer's can publish a broken archive (its first fault): that is told, and nothing is restored.
  const errors = Object.keys(counts).filter((kind) => kind.startsWith("our") && kind.includes("ERROR"));
  assert.deepEqual(errors.filter((kind) => kind !== "our load of an archive ERROR bad_archive"), []);
  assert.equal((await ours(share.pod(), "verify")).status, "SUCCESS");
  const left = namesBelow(share.dir).filter((name) => path.basename(name).startsWith(".b10-"));
  assert.deepEqual(left, []);
});
