/** What is made to use up memory is refused, by a process that never had more than 512 MB of it. Linux only. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import * as zlib from "node:zlib";
import { entry, long, tar } from "../foreign/tar_writer.ts";
import { cases } from "../hostile/cases.ts";
import { type HostileCache, hostileLayer, oneLayer, plant, twins } from "../hostile/native_writer.ts";
import { key } from "../pods.ts";
import { mainProgram, ownRuntime, selectTargets, type TargetName } from "../targets.ts";
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
  readonly mostMib?: Readonly<Record<TargetName, number>>;
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
    // A file and some frames, and what the runtime has not collected yet: Deno cannot be told to.
    mostMib: { deno: 768, bun: 640, binary: 640 },
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

const skip = process.platform === "linux" && process.arch === "x64" ? false : "measured on Linux";

for (const target of selectTargets(mainProgram, [ownRuntime])) {
  describe(`bombs, ${target.name}`, () => {
    for (const { what, make, status = "ERROR", mostMib } of [...listed, ...others]) {
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
        const peak = path.join(fleet.base, "peak");
        const shell = `exec python3 -c "$MEASURE" ${peak} "$@"`;
        const measured = { ...pod, env: { ...pod.env, MEASURE: measure } };
        const ended = await start(target, measured, ["load", "--json"], { shell }).ended;
        assert.equal(reportOf(ended).status, status, ended.stdout);
        const residentMib = Number(fs.readFileSync(peak, "utf8")) / 1024;
        assert.ok(residentMib <= (mostMib?.[target.name] ?? maxResidentMib), `${residentMib} MiB`);
      });
    }
  });
}
