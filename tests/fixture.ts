/** The real compile cache that the tests, the demo and the benchmark work on. See fixtures/README.md. */
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import { unpackTar } from "modern-tar";

export const fixtureArchive = fileURLToPath(new URL("fixtures/inductor-h100.tar.zst", import.meta.url));

export const fixtureFiles = 711;
export const fixtureBytes = 38_245_041;

// The archive was made with a window of 2^27 bytes.
const windowLog = 27;

/**
 * Unpacks the fixture below `dir`, which may exist already, with the archive's modes and modification times.
 * @throws where a file is there already, or the archive is not what it should be
 */
export async function unpackFixture(dir: string): Promise<void> {
  const tar = zlib.zstdDecompressSync(fs.readFileSync(fixtureArchive), {
    params: { [zlib.constants.ZSTD_d_windowLogMax]: windowLog },
  });
  const made = new Set<string>();
  for (const { header, data } of await unpackTar(tar)) {
    if (header.type !== "file" || !data) {
      throw new Error(`Cannot unpack "${header.name}" as it is a ${header.type}`);
    }
    const file = path.join(dir, header.name);
    const parent = path.dirname(file);
    if (!made.has(parent)) fs.mkdirSync(parent, { recursive: true });
    made.add(parent);
    fs.writeFileSync(file, data, { flag: "wx" });
    if (header.mode !== undefined) fs.chmodSync(file, header.mode);
    if (header.mtime) fs.utimesSync(file, header.mtime, header.mtime);
  }
}
