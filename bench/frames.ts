/**
 * frames.ts: what the order of files, the size of frames and long-distance matching do to the stored size of the real
 * cache in tests/fixtures: the measurement behind lib/archive/zstd.ts and lib/pack_tree.ts. Prints a table.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as zlib from "node:zlib";
import { formatTable, megabytes } from "../scripts/table.ts";
import { unpackFixture } from "../tests/fixture.ts";

const { constants } = zlib;
const blockBytes = 512;
const mebibyte = 1024 * 1024;

const orders = {
  "by path": (file: string) => file,
  "by extension": (file: string) => `${path.extname(file)}\0${file}`,
} as const;

function filesBelow(dir: string): string[] {
  return fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) =>
    fs.statSync(path.join(dir, name)).isFile()
  );
}

/** The files one after another, each padded to whole blocks, as in a tar stream without its headers. */
function streamOf(dir: string, files: readonly string[]): Uint8Array {
  return Buffer.concat(files.flatMap((file) => {
    const content = fs.readFileSync(path.join(dir, file));
    return [content, new Uint8Array((blockBytes - content.length % blockBytes) % blockBytes)];
  }));
}

function storedBytes(stream: Uint8Array, options: { frameBytes: number; longDistance: 0 | 1 }): number {
  let stored = 0;
  for (let at = 0; at < stream.length; at += options.frameBytes) {
    stored += zlib.zstdCompressSync(stream.subarray(at, at + options.frameBytes), {
      params: {
        [constants.ZSTD_c_compressionLevel]: 3,
        [constants.ZSTD_c_enableLongDistanceMatching]: options.longDistance,
        [constants.ZSTD_c_windowLog]: Math.ceil(Math.log2(options.frameBytes)),
      },
    }).length;
  }
  return stored;
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-frames-"));
try {
  await unpackFixture(dir);
  const rows: string[][] = [];
  for (const [name, orderOf] of Object.entries(orders)) {
    const files = filesBelow(dir).sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
    const stream = streamOf(dir, files);
    for (const frameMib of [4, 16, 32]) {
      for (const longDistance of [0, 1] as const) {
        const stored = storedBytes(stream, { frameBytes: frameMib * mebibyte, longDistance });
        rows.push([name, `${frameMib} MiB`, longDistance ? "on" : "off", megabytes(stored)]);
      }
    }
  }
  console.log(formatTable(["order", "frame", "long-distance matching", "stored"], rows));
} finally {
  fs.rmSync(dir, { recursive: true });
}
