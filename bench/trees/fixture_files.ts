/** The files of the real cache in tests/fixtures, in memory. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { unpackFixture } from "../../tests/fixture.ts";
import { readTree, type TreeFile } from "./files.ts";

export async function readFixture(): Promise<TreeFile[]> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "b10-bench-fixture-"));
  try {
    await unpackFixture(dir);
    return readTree(dir);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}
