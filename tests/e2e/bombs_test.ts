/** What is made to use up memory is refused, by a process that never had more than 512 MB of it. Linux only. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import * as zlib from "node:zlib";
import { canonicalJson } from "../../lib/canonical_json.ts";
import { entry, long, tar } from "../foreign/tar_writer.ts";
import { cases } from "../hostile/cases.ts";
import { type HostileCache, hostileLayer, oneLayer, plant, twins } from "../hostile/native_writer.ts";
import { key } from "../pods.ts";
import { mainProgram, ownRuntime, selectTargets, type Target } from "../targets.ts";
import { Fleet, type Pod, reportOf, start, testTimeoutMs, withTorch, writeTree } from "./fleet.ts";

const mib = 1024 * 1024;
const maxResidentMib = 512;

/** Writes the peak of the process that it runs, and of all that it starts, in KiB. */
const measure = [
  "import resource, subprocess, sys",
  "status = subprocess.call(sys.argv[2:])",
  "open(sys.argv[1], 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))",
  "sys.exit(status)",
].join("\n");

interface Bomb {
  readonly what: string;
  readonly make: () => Promise<HostileCache | Uint8Array>;
  /** ERROR by itself. */
  readonly status?: string;
}

const listed: readonly Bomb[] = cases.filter(({ what }) => /bomb|1,000,000|10 MB/.test(what)).flatMap(
  ({ what, native, foreign }) => [
    ...native ? [{ what: `${what}, in a layer`, make: native }] : [],
    ...foreign ? [{ what: `${what}, in an archive`, make: () => Promise.resolve(foreign()) }] : [],
  ],
);

/** 100,000 rows, and the last one wrong: it is read whole before it is refused. */
const largeIndex = (name: string) =>
  hostileLayer({ [`inductor/${name}`]: "" }, {
    index: (right) => {
      const index = twins(130_000)(right);
      return {
        ...index,
        files: index.files.map((file, at) => at === 130_000 ? { ...file, path: "inductor/../x" } : file),
      };
    },
  });

const others: readonly Bomb[] = [
  { what: "an index as large as may be", make: async () => ({ layers: [await largeIndex("a")] }) },
  {
    what: "eight such indexes",
    make: async () => ({
      layers: await Promise.all(Array.from({ length: 8 }, (_, at) => largeIndex(`l${at}`))),
    }),
  },
  {
    what: "50,000 names of 3,000 bytes, in an archive",
    make: () =>
      Promise.resolve(zlib.gzipSync(
        tar(
          ...Array.from({ length: 50_000 }, (_, at) => [
            long("L", `./${`${"d".repeat(100)}/`.repeat(29)}${at}`),
            entry({ name: "x" }),
          ]).flat(),
        ),
        { level: 1 },
      )),
  },
  {
    what: "two files as large as may be, which are restored",
    status: "SUCCESS",
    make: () =>
      oneLayer({
        "inductor/random": crypto.getRandomValues(new Uint8Array(60_000)),
        "inductor/a": new Uint8Array(256 * mib),
        "inductor/b": Buffer.alloc(256 * mib, 1),
        ...Object.fromEntries(Array.from({ length: 10 }, (_, at) => [
          `inductor/random${at}`,
          crypto.getRandomValues(new Uint8Array(60_000)),
        ])),
      }),
  },
];

interface Beside {
  readonly what: string;
  /** The good cache loads all the same. */
  readonly status: "SUCCESS" | "ERROR";
  /** No generation is signed by it. */
  readonly demandsSignature?: true;
  /** @param dir of the key. */
  readonly plant: (dir: string) => void;
}

/** A generation file of these bytes, with the seal that they need. */
function sealed(line: string): string {
  const sha256 = createHash("sha256").update(line).digest("hex");
  return `${line}\n{"sha256":"${sha256}","signatures":[]}\n`;
}

const generationFile = (dir: string, n: number) =>
  path.join(dir, "generations", `${String(n).padStart(10, "0")}.json`);

/** The good manifest with one field that is large. */
function withLarge(dir: string, n: number, field: Readonly<Record<string, unknown>>): void {
  const [line = ""] = fs.readFileSync(generationFile(dir, 1), "utf8").split("\n");
  fs.writeFileSync(generationFile(dir, n), sealed(canonicalJson({ ...JSON.parse(line), n, ...field })));
}

const facts = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, value]));

const beside: readonly Beside[] = [
  {
    what: "a thousand marks of 4 MiB",
    status: "SUCCESS",
    plant: (dir) => {
      const marks = path.join(dir, "marks");
      fs.mkdirSync(marks, { recursive: true });
      const name = (at: number) => path.join(marks, `${at.toString(16).padStart(32, "0")}.json`);
      fs.writeFileSync(name(0), Buffer.alloc(4 * mib, "["));
      for (let at = 1; at < 1000; at++) fs.linkSync(name(0), name(at));
    },
  },
  {
    what: "a manifest of 1,900,000 numbers",
    status: "SUCCESS",
    plant: (dir) => withLarge(dir, 2, { layers: Array.from({ length: 1_900_000 }, () => 0) }),
  },
  {
    what: "a manifest of 300,000 facts that are none",
    status: "SUCCESS",
    plant: (dir) => withLarge(dir, 2, { environment: facts(300_000, {}) }),
  },
  {
    what: "ninety large manifests that nobody signed",
    status: "ERROR",
    demandsSignature: true,
    plant: (dir) => {
      for (let n = 2; n < 92; n++) withLarge(dir, n, { environment: facts(30_000, "x".repeat(100)) });
    },
  },
];

const skip = process.platform === "linux" && process.arch === "x64" ? false : "measured on Linux";

/** What a load says, and the most memory that it had at any time. */
async function measuredLoad(fleet: Fleet, target: Target, pod: Pod) {
  const peak = path.join(fleet.base, "peak");
  const shell = `exec python3 -c "$MEASURE" ${peak} "$@"`;
  const measured = { ...pod, env: { ...pod.env, MEASURE: measure } };
  const ended = await start(target, measured, ["load", "--json"], { shell }).ended;
  return {
    status: reportOf(ended).status,
    stdout: ended.stdout,
    residentMib: Number(fs.readFileSync(peak, "utf8")) / 1024,
  };
}

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`bombs, ${target.name}`, () => {
    for (const { what, make, status = "ERROR" } of [...listed, ...others]) {
      test(what, { skip: target.skip || skip, timeout: testTimeoutMs }, async () => {
        using fleet = new Fleet();
        const saver = fleet.pod("saver");
        writeTree(saver.torchDir);
        await start(target, saver, ["save"]).ended;
        const { store_id: id } = JSON.parse(
          fs.readFileSync(path.join(fleet.storeDir, "native/format.json"), "utf8"),
        );
        const hostile = await make();
        const isArchive = hostile instanceof Uint8Array;
        const pod: Pod = isArchive
          ? withTorch(fleet.pod("victim", { B10_CACHE_FOREIGN: "on" }))
          : fleet.pod("victim", { B10_CACHE_KEY: key });
        if (isArchive) {
          fs.writeFileSync(path.join(fleet.storeDir, "cache_436c59e667a63097.latest.tar.gz"), hostile);
        } else plant(hostile, { store: { id }, storeDir: fleet.storeDir });
        const loaded = await measuredLoad(fleet, target, pod);
        assert.equal(loaded.status, status, loaded.stdout);
        assert.ok(
          loaded.residentMib <= maxResidentMib,
          `${loaded.residentMib} MiB`,
        );
      });
    }

    for (const { what, plant: plantBeside, status, demandsSignature } of beside) {
      test(
        `${what}, beside a good cache`,
        { skip: target.skip || skip, timeout: testTimeoutMs },
        async () => {
          using fleet = new Fleet();
          const saver = fleet.pod("saver", { B10_CACHE_KEY: key });
          writeTree(saver.torchDir);
          await start(target, saver, ["save"]).ended;
          plantBeside(path.join(fleet.storeDir, "native", key));
          const trusted = path.join(fleet.base, "trusted");
          const { publicKey } = generateKeyPairSync("ed25519");
          fs.writeFileSync(trusted, publicKey.export({ type: "spki", format: "pem" }));
          const victim = fleet.pod("victim", {
            B10_CACHE_KEY: key,
            ...(demandsSignature ? { B10_CACHE_TRUSTED_KEYS_FILE: trusted } : {}),
          });
          const loaded = await measuredLoad(fleet, target, victim);
          assert.equal(loaded.status, status, loaded.stdout);
          assert.ok(loaded.residentMib <= maxResidentMib, `${loaded.residentMib} MiB`);
        },
      );
    }
  });
}
